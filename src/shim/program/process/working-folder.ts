import { nr } from "../ffi/arch.ts";
import { AT, O, RESOLVE } from "../ffi/constants.ts";
import { E, type Failure, asFailure, errno, failure, sysError } from "../ffi/error.ts";
import { close, mkdir, openat2 } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { bytes, toTextZ } from "../ffi/memory.ts";

const pathMaxBytes = 4096;
const folderMode = 0o755;

/**
 * Makes the working folder with its parents where it is missing, as root of the container. Never through a magic link
 * of procfs: /proc/self/fd/N would lead to folders that are not the container's (CVE-2024-21626).
 */
export function makeWorkingFolder(path: string): void {
  if (isThere(path)) return;
  let made = "";
  for (const [part] of string.gmatch(path, "[^/]+")) {
    made = `${made}/${part}`;
    if (!isThere(made)) mkdir(made, folderMode);
  }
}

/** True also for what can't be told: the error is that of entering it. */
function isThere(path: string): boolean {
  const [opened, fd] = pcall(openat2, AT.FDCWD, path, O.PATH, RESOLVE.NO_MAGICLINKS);
  if (!opened) return true;
  if (fd === undefined) return false;
  close(fd);
  return true;
}

/**
 * chdir(2), again without magic links. False where root may not go there and the user perhaps may, as on NFS with
 * root_squash: to be tried once more as the user.
 */
export function enterWorkingFolder(path: string, as: "root" | "user"): boolean {
  const number = tryEnter(path);
  if (number === 0) return true;
  if (as === "root" && (number === E.ACCES || number === E.PERM)) return false;
  throw chdirError(path, number);
}

/** The errno, 0 for success. */
function tryEnter(path: string): number {
  const [opened, fd] = pcall(openat2, AT.FDCWD, path, O.PATH + O.DIRECTORY, RESOLVE.NO_MAGICLINKS);
  if (!opened) return asFailure(fd).errno ?? E.IO;
  if (fd === undefined) return E.NOENT;
  const number = C.fchdir(fd) === 0 ? 0 : errno();
  close(fd);
  return number;
}

function chdirError(path: string, number: number): Failure {
  const error = sysError("chdir", path, number);
  if (number === E.LOOP) return { ...error, message: `${error.message}, or links of procfs on the way` };
  if (number === E.NOENT || number === E.NOTDIR) return { ...error, code: "not-found" };
  return number === E.ACCES ? { ...error, code: "permission-denied" } : error;
}

/**
 * Checks that the working folder lies inside the root: the kernel says `(unreachable)` where it does not
 * (CVE-2024-21626). The raw system call, for glibc's getcwd goes on searching in that case.
 */
export function verifyWorkingFolder(path: string): void {
  const buffer = bytes(pathMaxBytes);
  if (C.sys_getcwd(nr.getcwd, buffer, pathMaxBytes) < 0) throw sysError("getcwd", path);
  if (string.sub(toTextZ(buffer), 1, 1) !== "/") {
    throw failure("invalid-argument", `process.cwd ${path}: is outside of the container's root`);
  }
}
