import { FS_MAGIC, O, RESOLVE } from "../ffi/constants.ts";
import { E, failure, sysError } from "../ffi/error.ts";
import { close, fsType, open, openat2 } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";

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
 * Writes to a file below an open procfs without leaving it: no symlink, no other mount on the way (a bind mount over
 * a single file would redirect the write, CVE-2025-52881), and procfs once more at the end. Returns the errno, 0 for
 * success.
 */
export function tryWriteProc(procfs: number, path: string, text: string): number {
  const fd = openat2(procfs, path, O.WRONLY, RESOLVE.BENEATH | RESOLVE.NO_XDEV | RESOLVE.NO_SYMLINKS);
  if (fd === undefined) return E.NOENT;
  if (fsType(fd) !== FS_MAGIC.PROC) {
    close(fd);
    throw failure("failed-precondition", `/proc/${path} is not of procfs`);
  }
  const put = C.write(fd, text, text.length);
  const number = put === text.length ? 0 : sysError("write").errno;
  close(fd);
  return number ?? E.IO;
}

/** The same, throwing. */
export function writeProc(procfs: number, path: string, text: string): void {
  const number = tryWriteProc(procfs, path, text);
  if (number !== 0) throw sysError("write", `/proc/${path}`, number);
}
