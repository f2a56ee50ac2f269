import { getSystemErrorMap, getSystemErrorName } from "node:util";

/** A system call that failed. The message reads `mount /mnt/a: no such file or directory`. */
export class SysError extends Error {
  override readonly name = "SysError";
  /** The call's name, as in section 2 of the manual. */
  readonly syscall: string;
  /** The number in errno(3). */
  readonly errno: number;
  /** The symbol, such as `ENOENT`: the same property as on errors of node:fs. */
  readonly code: string;
  /** The file, interface or process that the call was about; empty where there is none. */
  readonly path: string;

  constructor(syscall: string, errno: number, path = "", detail = "") {
    const subject = path === "" ? syscall : `${syscall} ${path}`;
    super(`${subject}: ${detail === "" ? describeErrno(errno) : `${describeErrno(errno)} (${detail})`}`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = nameErrno(errno);
    this.path = path;
  }
}

/** True where `thrown` is a SysError or an error of node:fs with this symbol, such as `ENOENT`. */
export function isErrno(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && (thrown as { code?: unknown }).code === code;
}

function nameErrno(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `E${errno}`;
  }
}

function describeErrno(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? `errno ${errno}`;
}
