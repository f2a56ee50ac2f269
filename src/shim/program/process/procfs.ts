import { FS_MAGIC, O, RESOLVE } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { close, fsType, open, openat2 } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";

/** Below procfs, through no other mount: `self` is a symlink of its own and may be followed, magic links may not. */
const resolveBelow = RESOLVE.BENEATH + RESOLVE.NO_XDEV + RESOLVE.NO_MAGICLINKS;

/**
 * Opens /proc and checks that it is procfs: a container, its image or a shared volume may have put something else
 * there (CVE-2019-16884, CVE-2019-19921). The descriptor stays good after the mounts change.
 */
export function openProcfs(path = "/proc"): number {
  const fd = open(path, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  if (fsType(fd) !== FS_MAGIC.PROC) {
    close(fd);
    throw failure("failed-precondition", `${path} is not procfs`);
  }
  return fd;
}

/**
 * Opens a file below an open procfs without leaving it: a bind mount over a single file would redirect a write
 * (CVE-2025-52881). `undefined` where there is none.
 */
export function openProcFile(procfs: number, path: string, flags: number): number | undefined {
  const fd = openat2(procfs, path, flags, resolveBelow);
  if (fd === undefined || fsType(fd) === FS_MAGIC.PROC) return fd;
  close(fd);
  throw failure("failed-precondition", `/proc/${path} is not of procfs`);
}

/** Writes to a file below an open procfs in one write(2); returns the errno, 0 for success. */
export function tryWriteProc(procfs: number, path: string, text: string): number {
  const [opened, fd] = pcall(openProcFile, procfs, path, O.WRONLY);
  if (!opened) {
    const { errno: number } = fd as unknown as { errno?: number };
    if (number === undefined) throw fd as unknown;
    return number;
  }
  if (fd === undefined) return E.NOENT;
  const put = C.write(fd, text, text.length);
  const number = put === text.length ? 0 : put < 0 ? errno() : E.IO;
  close(fd);
  return number;
}

/** The same, throwing. */
export function writeProc(procfs: number, path: string, text: string): void {
  const number = tryWriteProc(procfs, path, text);
  if (number !== 0) throw sysError("write", `/proc/${path}`, number);
}
