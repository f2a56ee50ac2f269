import { locked, parseId, tryReadRecord, folderOfContainer, removeFolder } from "../container/record.ts";
import { deleteContainer } from "../container/delete.ts";
import { describeContainer } from "../container/status.ts";
import { discoverHierarchies } from "../../program/cgroup/index.ts";
import { failure } from "../../program/ffi/error.ts";
import { AT } from "../../program/ffi/constants.ts";
import { tryStatx } from "../../program/ffi/files.ts";
import { parseOptions } from "../options.ts";
import type { Command, Settings } from "../settings.ts";

/** `delete [--force] ID`: what is left of a container; one that runs is killed with `--force` alone. */
export const remove: Command = (settings, words) => {
  const options = parseOptions(words, { force: { kind: "flag", short: "f" } });
  const id = parseId(options.rest[0]);
  const force = options.has("force");
  if (force && tryStatx(AT.FDCWD, folderOfContainer(settings.root, id).path, 0) === undefined) return 0;
  locked(settings.root, id, () => {
    removeLocked(settings, id, force ? "any" : "stopped");
  });
  return 0;
};

function removeLocked(settings: Settings, id: string, allowed: "any" | "stopped"): void {
  const record = tryReadRecord(settings.root, id);
  if (record === undefined) {
    // Its creation was cut short before there was anything to write down.
    if (allowed === "stopped") throw failure("not-found", `container does not exist: ${id}`);
    removeFolder(folderOfContainer(settings.root, id));
    return;
  }
  const container = describeContainer(settings, record, discoverHierarchies());
  const { status } = container;
  if (allowed === "stopped" && status !== "stopped" && status !== "created") {
    throw failure("failed-precondition", `cannot delete container ${id} that is not stopped: ${status}`);
  }
  deleteContainer(settings, container);
}
