import { SysError } from "./error.ts";
import type { CallResult } from "./ffi.ts";

/** Gives a call's result, or throws SysError where it is -1. */
export function checked(syscall: string, result: CallResult<number>, path = ""): number {
  if (result.value === -1) throw new SysError(syscall, result.errno, path);
  return result.value;
}
