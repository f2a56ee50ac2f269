import { locked, parseId } from "../container/record.ts";
import { findContainer, requireStatus } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

/** How long the freezer may take. */
const freezeTimeoutMs = 10_000;

/** `pause ID`: stops all of its processes. */
export const pause: Command = (settings, words) => {
  const id = parseId(parseOptions(words, {}).rest[0]);
  locked(settings.root, id, () => {
    const container = findContainer(settings, id);
    requireStatus(container, "pause", ["running", "created"]);
    container.cgroup.freeze(freezeTimeoutMs);
  });
  return 0;
};

/** `resume ID`: lets them go on. */
export const resume: Command = (settings, words) => {
  const id = parseId(parseOptions(words, {}).rest[0]);
  locked(settings.root, id, () => {
    const container = findContainer(settings, id);
    requireStatus(container, "resume", ["paused"]);
    container.cgroup.thaw();
  });
  return 0;
};
