import * as ffi from "ffi";
import type { ShimFailure } from "../../protocol/messages.ts";
import { type Failure, failure } from "../failure.ts";
import { C } from "./libc.ts";

export { failure };
export type { Failure };

/** Error numbers that code here tells apart (errno(3)). */
export const E = {
  PERM: 1,
  NOENT: 2,
  SRCH: 3,
  INTR: 4,
  IO: 5,
  NXIO: 6,
  TOOBIG: 7,
  NOEXEC: 8,
  BADF: 9,
  CHILD: 10,
  AGAIN: 11,
  NOMEM: 12,
  ACCES: 13,
  BUSY: 16,
  EXIST: 17,
  XDEV: 18,
  NODEV: 19,
  NOTDIR: 20,
  ISDIR: 21,
  INVAL: 22,
  NFILE: 23,
  MFILE: 24,
  TXTBSY: 26,
  NOSPC: 28,
  ROFS: 30,
  PIPE: 32,
  RANGE: 34,
  NAMETOOLONG: 36,
  NOTEMPTY: 39,
  NOSYS: 38,
  LOOP: 40,
  OPNOTSUPP: 95,
  CONNRESET: 104,
  DQUOT: 122,
} as const;

/** The calling thread's errno; read it before any other call. */
export function errno(): number {
  return ffi.errno();
}

/** `no such file or directory` for 2: strerror(3), lower case. */
export function errorText(number: number): string {
  return string.lower(ffi.string(C.strerror(number)));
}

/** The failure of the system call just made, from errno: `mount /proc: operation not permitted`. */
export function sysError(syscall: string, subject?: string | number, number = ffi.errno()): Failure {
  const where = subject === undefined ? syscall : `${syscall} ${subject}`;
  return {
    failure: true,
    code: codeOf(number),
    message: `${where}: ${errorText(number)}`,
    syscall,
    errno: number,
  };
}

/** The same failure with words in front that say what was being done. */
export function prefixed(prefix: string, thrown: unknown): Failure {
  return { ...asFailure(thrown), message: `${prefix}: ${asFailure(thrown).message}` };
}

/** Whatever was thrown, as a failure; a Lua error (a bug) becomes `internal` with its text. */
export function asFailure(thrown: unknown): Failure {
  if (typeof thrown === "object" && thrown !== null && (thrown as Partial<Failure>).failure) {
    return thrown as Failure;
  }
  return failure("internal", tostring(thrown));
}

function codeOf(number: number): ShimFailure["code"] {
  if (
    number === E.NOSPC ||
    number === E.MFILE ||
    number === E.NFILE ||
    number === E.NOMEM ||
    number === E.AGAIN
  ) {
    return "resource-exhausted";
  }
  return "internal";
}
