import { closeSync } from "node:fs";
import { libc } from "./ffi.ts";

const syscall3 = libc.function("syscall", ["i64", "i64", "i64", "i64"], "i64");
const syscallFsopen = libc.function("syscall", ["i64", "text", "i64"], "i64");
const syscallFsconfig = libc.function("syscall", ["i64", "i64", "i64", "text", "text", "i64"], "i64");
const syscallFsconfigFlag = libc.function("syscall", ["i64", "i64", "i64", "text", "i64", "i64"], "i64");

/** Numbers of calls that are newer than 2019, the same on every architecture. */
const newCalls = {
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  pidfd_open: 434,
  clone3: 435,
  close_range: 436,
  openat2: 437,
  mount_setattr: 442,
} as const;

const SYS_fsconfig = 431;
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const ENOSYS = 38;

/** A system call that this project needs and that a kernel may lack. */
export type ProbedCall = keyof typeof newCalls;

/** The calls that can be asked about. */
export const probedCalls = Object.keys(newCalls) as readonly ProbedCall[];

/** True where the kernel knows the call: arguments that no call accepts are refused with anything but ENOSYS. */
export function hasSystemCall(name: ProbedCall): boolean {
  const { value, errno } = syscall3(newCalls[name], -1, -1, -1);
  // Nothing can have come of it: every one of these calls refuses unknown flags first.
  return !(value < 0 && errno === ENOSYS);
}

/**
 * True where the file system type takes a mount option: a context is configured with it and thrown away, nothing is
 * mounted. `value` absent is a flag.
 *
 * @see https://man7.org/linux/man-pages/man2/fsconfig.2.html
 */
export function acceptsMountOption(filesystemType: string, option: string, value?: string): boolean {
  const { value: fd } = syscallFsopen(newCalls.fsopen, filesystemType, FSOPEN_CLOEXEC);
  if (fd < 0) return false;
  try {
    const result =
      value === undefined
        ? syscallFsconfigFlag(SYS_fsconfig, fd, FSCONFIG_SET_FLAG, option, 0, 0)
        : syscallFsconfig(SYS_fsconfig, fd, FSCONFIG_SET_STRING, option, value, 0);
    return result.value === 0;
  } finally {
    closeSync(fd);
  }
}
