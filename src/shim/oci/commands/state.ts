import { findContainer } from "../container/status.ts";
import { prettyJson } from "../pretty.ts";
import { stateFields } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

/** `state ID`: the state document of the runtime spec (runtime.md#state). */
export const state: Command = (settings, words) => {
  const { rest } = parseOptions(words, {});
  const { record, status } = findContainer(settings, rest[0]);
  const { id, bundle, rootfs, created, annotations, init } = record;
  const document = {
    ociVersion: init.ociVersion,
    id,
    pid: status === "stopped" ? 0 : init.pid,
    status,
    bundle,
    rootfs,
    created,
    owner: record.ownerUid === 0 ? "root" : "",
    annotations,
  };
  io.write(prettyJson(document, stateFields));
  return 0;
};
