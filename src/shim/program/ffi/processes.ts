import { commonNr } from "./arch.ts";
import { CLONE, O, PR, SIG, WALL, WNOHANG } from "./constants.ts";
import { E, errno, failure, sysError } from "./error.ts";
import { close, openat, readAllFd, tryReadFile } from "./files.ts";
import { C } from "./libc.ts";
import { ints, sizeOf } from "./memory.ts";
import type { CloneArgs } from "./structs.ts";
import { struct } from "./structs.ts";

const maxStatBytes = 4096;

/** fork(2): 0 in the child. */
export function fork(): number {
  const pid = C.fork();
  if (pid < 0) throw sysError("fork");
  return pid;
}

/**
 * clone3(2) without a stack of its own: like fork, with CLONE_* flags; 0 in the child. SIGCHLD goes to the parent,
 * which with CLONE_PARENT is the caller's parent. `cgroup` is a cgroup v2 folder to start in.
 */
export function clone(flags: number, cgroup?: number): number {
  const args = struct<CloneArgs>("clone_args");
  args.flags = cgroup === undefined ? flags : flags + CLONE.INTO_CGROUP;
  // With CLONE_PARENT the kernel takes the exit signal from the caller and refuses another one (Linux 5.11).
  args.exit_signal = (flags & CLONE.PARENT) === 0 ? SIG.CHLD : 0;
  if (cgroup !== undefined) args.cgroup = cgroup;
  const pid = C.sys_clone3(commonNr.clone3, args, sizeOf(args));
  if (pid < 0) throw sysError("clone3");
  return pid;
}

/** Ends this process without running anything. */
export function exit(status: number): never {
  return C._exit(status);
}

/** How a child ended, or that it has not. */
export interface Waited {
  readonly pid: number;
  /** Exit status; 0 where a signal ended it. */
  readonly status: number;
  /** The signal that ended it, or 0. */
  readonly signal: number;
}

/** waitpid(2) for one child or any (-1); `undefined` where none has ended, or none is left. */
export function reap(child: number): Waited | undefined {
  const [pid, status, signal] = wait(child, WNOHANG | WALL);
  return pid === 0 ? undefined : { pid, status, signal };
}

/** As {@link reap} of any child, without making an object; `pid` 0 is none. */
export function reapAny(): LuaMultiReturn<[pid: number, status: number, signal: number]> {
  return wait(-1, WNOHANG | WALL);
}

/** Waits until the child ended. */
export function waitFor(child: number): Waited {
  const [pid, status, signal] = wait(child, WALL);
  if (pid === 0) throw failure("internal", `process ${child} is no child of this one`);
  return { pid, status, signal };
}

const waitStatus = ints(1);

function wait(child: number, options: number): LuaMultiReturn<[pid: number, status: number, signal: number]> {
  for (;;) {
    const pid = C.waitpid(child, waitStatus, options);
    if (pid > 0) {
      const word = waitStatus[0] as number;
      return $multi(pid, (word >> 8) & 0xff, word & 0x7f);
    }
    if (pid === 0) return $multi(0, 0, 0);
    const number = errno();
    if (number === E.CHILD) return $multi(0, 0, 0);
    if (number !== E.INTR) throw sysError("waitpid", child, number);
  }
}

/** kill(2); false where there is no such process. */
export function kill(pid: number, signal: number): boolean {
  if (C.kill(pid, signal) === 0) return true;
  if (errno() === E.SRCH) return false;
  throw sysError("kill", pid);
}

/** pidfd_open(2); `undefined` where there is no such process. */
export function pidfdOpen(pid: number): number | undefined {
  const fd = C.sys_pidfd_open(commonNr.pidfdOpen, pid, 0);
  if (fd >= 0) return fd;
  if (errno() === E.SRCH) return undefined;
  throw sysError("pidfd_open", pid);
}

/** pidfd_send_signal(2); false where the process is gone. */
export function pidfdKill(pidfd: number, signal: number): boolean {
  if (C.sys_pidfd_send_signal(commonNr.pidfdSendSignal, pidfd, signal, undefined, 0) === 0) return true;
  if (errno() === E.SRCH) return false;
  throw sysError("pidfd_send_signal", pidfd);
}

/** setns(2); `what` names the namespace in the error. */
export function setns(fd: number, type: number, what: string): void {
  if (C.setns(fd, type) < 0) throw sysError("setns", what);
}

/** unshare(2). */
export function unshare(flags: number): void {
  if (C.unshare(flags) < 0) throw sysError("unshare");
}

/** prctl(2) with one argument. */
export function prctl(option: number, value: number, name: string): void {
  if (C.prctl(option, value, 0, 0, 0) < 0) throw sysError("prctl", name);
}

/** PR_SET_NAME: what ps shows, 15 bytes at most. */
export function setName(name: string): void {
  C.prctl_name(PR.SET_NAME, name);
}

/** Start time of a process in clock ticks since boot; `undefined` where it is gone. */
export function startTicks(pid: number): number | undefined {
  const stat = tryReadFile(`/proc/${pid}/stat`, maxStatBytes);
  return stat === undefined ? undefined : statField(stat, 22);
}

/** The same, through an open /proc/<pid> folder. */
export function startTicksAt(procPid: number): number | undefined {
  const fd = openat(procPid, "stat", O.RDONLY);
  const [ok, stat] = pcall(() => readAllFd(fd, maxStatBytes, "stat"));
  close(fd);
  return ok ? statField(stat, 22) : undefined;
}

/** A field of /proc/pid/stat by its number in proc(5), 3 and up: the command before it may hold any byte. */
function statField(stat: string, field: number): number | undefined {
  const [rest] = string.match(stat, "^.*%) (.*)$");
  if (rest === undefined) return undefined;
  let index = 3;
  for (const [word] of string.gmatch(rest, "%S+")) {
    if (index === field) return tonumber(word);
    index++;
  }
  return undefined;
}
