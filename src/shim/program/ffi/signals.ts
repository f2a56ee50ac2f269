import { SOCK } from "./constants.ts";
import { sysError } from "./error.ts";
import { C } from "./libc.ts";
import type { Pointer } from "./memory.ts";
import { allocate, bytes } from "./memory.ts";

const sigBlock = 0;
const sigSetmask = 2;
const lastSignal = 64;
const signalfdInfoBytes = 128;
const info = bytes(signalfdInfoBytes);

/** A sigset_t with the given signals. */
export function signalSet(signals: readonly number[]): Pointer {
  const set = allocate("sigset_buf");
  C.sigemptyset(set);
  for (const signal of signals) C.sigaddset(set, signal);
  return set;
}

/** Blocks signals, so that a signalfd or sigwaitinfo gets them. */
export function blockSignals(signals: readonly number[]): void {
  C.sigprocmask(sigBlock, signalSet(signals), undefined);
}

/** Blocks every signal that can be. */
export function blockAllSignals(): void {
  const set = allocate("sigset_buf");
  C.sigfillset(set);
  C.sigprocmask(sigSetmask, set, undefined);
}

/** An empty mask, as a new program expects it. */
export function unblockAllSignals(): void {
  C.sigprocmask(sigSetmask, signalSet([]), undefined);
}

/**
 * The default for every signal that may be changed: execve keeps the ignored ones, and Node ignores SIGPIPE. glibc keeps
 * 32 and 33 for itself and lets nobody ignore them.
 */
export function resetSignals(): void {
  for (let signal = 1; signal <= lastSignal; signal++) C.signal_default(signal, undefined);
}

/** signalfd(2), non-blocking; the signals must be blocked. */
export function signalFd(signals: readonly number[]): number {
  const fd = C.signalfd(-1, signalSet(signals), SOCK.NONBLOCK | SOCK.CLOEXEC);
  if (fd < 0) throw sysError("signalfd");
  return fd;
}

/** Takes one queued signal and returns its number, or `undefined`. */
export function readSignal(fd: number): number | undefined {
  return C.read(fd, info, signalfdInfoBytes) === signalfdInfoBytes ? info[0] : undefined;
}
