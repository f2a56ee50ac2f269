import type { PodCreated } from "../../protocol/messages.ts";
import { describeProcesses } from "../cgroup/index.ts";
import { AT, SIG } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { close, listDir, readlink, tryReadFile, tryStatx } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { pidfdKill, pidfdOpen, startTicks } from "../ffi/processes.ts";
import type { Pollfd } from "../ffi/structs.ts";
import { structs } from "../ffi/structs.ts";

/** How long a PID namespace has to end: its PID 1 waits for all others in it. */
const endTimeoutMs = 10_000;
const readable = 1;
const maxStatusBytes = 8192;

/**
 * Kills a pod's PID 1 and waits until it has ended, and so all of its namespace. It is known by pid and start time; a
 * creation that nobody recorded left only the pin, by which it is found.
 */
export function killReaper(recorded: PodCreated["reaper"], pin: string | undefined): void {
  const found = recorded ?? (pin === undefined ? undefined : findReaper(pin));
  if (found === undefined) return;
  const pidfd = pidfdOpen(found.pid);
  if (pidfd === undefined) return;
  // Read after the pidfd was opened: that one now stands for the very process whose start time this is.
  const ended = startTicks(found.pid) !== found.startTicks || !pidfdKill(pidfd, SIG.KILL) || hasEnded(pidfd);
  close(pidfd);
  if (ended) return;
  const where = describeProcesses([found.pid]);
  throw failure("deadline-exceeded", `the pod's pid 1 does not end in ${endTimeoutMs} ms: ${where}`);
}

function hasEnded(pidfd: number): boolean {
  const wait = structs<Pollfd>("pollfd_buf", 1);
  const only = wait[0] as Pollfd;
  only.fd = pidfd;
  only.events = readable;
  return C.poll(wait, 1, endTimeoutMs) === 1;
}

/** The process that is PID 1 of the namespace pinned at `pin`. */
function findReaper(pin: string): PodCreated["reaper"] {
  const pinned = tryStatx(AT.FDCWD, pin, 0);
  if (pinned === undefined) return undefined;
  const [inode] = string.match(tostring(pinned.ino), "^%d+");
  const wanted = `pid:[${inode}]`;
  for (const name of listDir("/proc")) {
    const pid = tonumber(name);
    if (pid === undefined || readlink(`/proc/${pid}/ns/pid`) !== wanted) continue;
    const [inner] = string.match(
      tryReadFile(`/proc/${pid}/status`, maxStatusBytes) ?? "",
      "NSpid:[^\n]*%s(%d+)\n",
    );
    const ticks = startTicks(pid);
    if (inner === "1" && ticks !== undefined) return { pid, startTicks: ticks };
  }
  return undefined;
}
