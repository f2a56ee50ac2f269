import { removeParents } from "../../program/cgroup/index.ts";
import { SIG } from "../../program/ffi/constants.ts";
import { asFailure, failure } from "../../program/ffi/error.ts";
import { close } from "../../program/ffi/files.ts";
import { pidfdKill, pidfdOpen, reap } from "../../program/ffi/processes.ts";
import { runHooks } from "../../program/hooks/run-hooks.ts";
import { waitReadable } from "../ffi/os.ts";
import type { Settings } from "../settings.ts";
import { folderOfContainer, removeFolder } from "./record.ts";
import { hookState } from "./start.ts";
import type { FoundContainer } from "./status.ts";
import { initLives } from "./status.ts";

/** How long a killed container may take to go. */
const killTimeoutMs = 10_000;

/** Kills what runs of a container and removes all of it; its poststop hooks come last. */
export function deleteContainer(settings: Settings, { record, cgroup }: FoundContainer): void {
  // The whole cgroup, which is also thawed by that.
  cgroup.kill();
  killInit(record.init.pid, () => initLives(record));
  cgroup.destroy(killTimeoutMs);
  removeParents(record.cgroupParents);
  removeFolder(folderOfContainer(settings.root, record.id));
  for (const hook of record.init.poststop ?? []) {
    const [ok, thrown] = pcall(runHooks, [hook], hookState(record, "stopped"), "poststop");
    if (!ok) settings.log.warn(asFailure(thrown).message);
  }
}

/** Asked again once the pidfd is open: the number may have become another's before. */
function killInit(pid: number, lives: () => boolean): void {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return;
  if (lives()) {
    pidfdKill(pidfd, SIG.KILL);
    if (!waitReadable(pidfd, killTimeoutMs)) {
      close(pidfd);
      throw failure("deadline-exceeded", `process ${pid}: not gone ${killTimeoutMs} ms after SIGKILL`);
    }
  }
  close(pidfd);
  reap(pid);
}
