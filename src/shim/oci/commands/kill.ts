import { SIG } from "../../program/ffi/constants.ts";
import { failure } from "../../program/ffi/error.ts";
import { close } from "../../program/ffi/files.ts";
import { kill as killProcess, pidfdKill, pidfdOpen } from "../../program/ffi/processes.ts";
import { parseSignal } from "../container/signals.ts";
import type { FoundContainer } from "../container/status.ts";
import { findContainer, initLives } from "../container/status.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

/** `kill [--all] ID [SIGNAL]`: SIGTERM unless another is named. */
export const kill: Command = (settings, words) => {
  const options = parseOptions(words, { all: { kind: "flag", short: "a" } });
  const container = findContainer(settings, options.rest[0]);
  const word = options.rest[1] ?? "TERM";
  const signal = parseSignal(word);
  if (options.has("all")) killAll(container, signal);
  else killInit(container, signal);
  return 0;
};

/** Everything in the container's cgroup; what is left of a container that has stopped as well. */
function killAll({ cgroup }: FoundContainer, signal: number): void {
  if (signal === SIG.KILL) cgroup.kill();
  else for (const pid of cgroup.pids()) killProcess(pid, signal);
}

function killInit({ record, cgroup, status }: FoundContainer, signal: number): void {
  const pidfd = pidfdOpen(record.init.pid);
  // Asked again now that the number can't become another's.
  if (pidfd === undefined || !initLives(record)) {
    // In the host's PID namespace init does not take the others along.
    if (signal === SIG.KILL && !cgroup.isEmpty()) {
      cgroup.kill();
      return;
    }
    throw failure("failed-precondition", `container not running: ${record.id}`);
  }
  pidfdKill(pidfd, signal);
  close(pidfd);
  if (signal !== SIG.KILL) return;
  // Where init is not PID 1 of a namespace of its own, nobody else goes with it.
  if (!record.ownPids) cgroup.kill();
  if (status === "paused") cgroup.thaw();
}
