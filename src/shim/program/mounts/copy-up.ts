import { AT, O, S } from "../ffi/constants.ts";
import { failure, sysError } from "../ffi/error.ts";
import { close, isType, listDir, openat, readlink, statx } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import type { Statx } from "../ffi/structs.ts";
import { deviceNumber } from "./devices.ts";

const permissionBits = 0xfff;
const privateMode = 0o700;
const copyBytes = 0x7ffff000;
/** Folders within folders that are followed. */
const maxDepth = 128;

/**
 * Copies what an open folder holds into another one (the mount option `tmpcopyup`): folders, files, links and nodes with
 * their owners and modes. Links are never followed.
 */
export function copyUp(source: number, target: number, depth = 0): void {
  if (depth > maxDepth) throw failure("resource-exhausted", `tmpcopyup: more than ${maxDepth} folders deep`);
  for (const name of listDir(".", source)) copyOne(source, target, name, depth);
}

function copyOne(source: number, target: number, name: string, depth: number): void {
  const stat = statx(source, name, AT.SYMLINK_NOFOLLOW);
  if (isType(stat, S.IFLNK)) {
    const link = readlink(name, source);
    if (link === undefined || C.symlinkat(link, target, name) < 0) throw sysError("symlink", name);
  } else if (isType(stat, S.IFDIR)) {
    copyFolder(source, target, name, depth);
  } else if (isType(stat, S.IFREG)) {
    copyFile(source, target, name);
  } else if (C.mknodat(target, name, stat.mode, deviceNumber(stat.rdev_major, stat.rdev_minor)) < 0) {
    throw sysError("mknod", name);
  }
  takeOver(target, name, stat);
}

function copyFolder(source: number, target: number, name: string, depth: number): void {
  if (C.mkdirat(target, name, privateMode) < 0) throw sysError("mkdir", name);
  const from = openat(source, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  const to = openat(target, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  copyUp(from, to, depth + 1);
  close(from);
  close(to);
}

function copyFile(source: number, target: number, name: string): void {
  const from = openat(source, name, O.RDONLY | O.NOFOLLOW);
  const to = openat(target, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, privateMode);
  for (;;) {
    const sent = C.sendfile(to, from, undefined, copyBytes);
    if (sent < 0) throw sysError("copy", name);
    if (sent === 0) break;
  }
  close(from);
  close(to);
}

/** The mode comes last: a change of owner takes set-user-id away. */
function takeOver(target: number, name: string, stat: Statx): void {
  if (C.fchownat(target, name, stat.uid, stat.gid, AT.SYMLINK_NOFOLLOW) < 0) throw sysError("chown", name);
  if (isType(stat, S.IFLNK)) return;
  if (C.fchmodat(target, name, stat.mode & permissionBits, 0) < 0) throw sysError("chmod", name);
}
