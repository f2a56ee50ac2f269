import { checked } from "./call.ts";
import { architectureOf } from "./architecture.ts";
import { libc } from "./ffi.ts";

const killFunction = libc.function("kill", ["i32", "i32"], "i32");
const umaskFunction = libc.function("umask", ["u32"], "u32");
const geteuidFunction = libc.function("geteuid", [], "u32");
const pidfdOpenFunction = libc.function("syscall", ["i64", "i64", "i64"], "i64");
const pidfdSendSignalFunction = libc.function("syscall", ["i64", "i64", "i64", "bytes", "i64"], "i64");

/**
 * Sends a signal by number; a negative pid is a process group. Throws `ESRCH` where there is nothing to signal.
 *
 * @see https://man7.org/linux/man-pages/man2/kill.2.html
 */
export function kill(pid: number, sig: number): void {
  checked("kill", killFunction(pid, sig), String(pid));
}

/**
 * Sets the file mode creation mask of the whole process and gives the old one.
 *
 * @see https://man7.org/linux/man-pages/man2/umask.2.html
 */
export function umask(mask: number): number {
  return umaskFunction(mask).value;
}

/** @see https://man7.org/linux/man-pages/man2/geteuid.2.html */
export function geteuid(): number {
  return geteuidFunction().value;
}

/**
 * A file descriptor that stands for a process and is readable once it has ended.
 *
 * @see https://man7.org/linux/man-pages/man2/pidfd_open.2.html
 */
export function pidfdOpen(pid: number, flags: number): number {
  const { syscalls } = architectureOf(process.arch);
  return checked("pidfd_open", pidfdOpenFunction(syscalls.pidfd_open, pid, flags), String(pid));
}

/** @see https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html */
export function pidfdSendSignal(pidfd: number, sig: number): void {
  const { syscalls } = architectureOf(process.arch);
  checked("pidfd_send_signal", pidfdSendSignalFunction(syscalls.pidfd_send_signal, pidfd, sig, null, 0));
}
