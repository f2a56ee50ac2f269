import { parseId, locked } from "../container/record.ts";
import { startContainer } from "../container/start.ts";
import { findContainer, requireStatus } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

/** `start ID`: the container's command begins. */
export const start: Command = (settings, words) => {
  const { rest } = parseOptions(words, {});
  const id = parseId(rest[0]);
  locked(settings.root, id, () => {
    const container = findContainer(settings, id);
    requireStatus(container, "start", ["created"]);
    startContainer(settings, container.record);
  });
  return 0;
};
