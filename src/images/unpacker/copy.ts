import * as ffi from "ffi";
import { capabilities, confine } from "./confine.ts";
import { thisArchitecture } from "./filter.ts";
import { deviceNumber } from "./entry.ts";
import { dataMap } from "./holes.ts";
import { advance, errnos, fail, failErrno, libc } from "./libc.ts";
import type { Fields } from "./report.ts";
import { newTimes, setTime } from "./tree.ts";
import { openFolders, readLink, readXattrs, walk, type Found } from "./walk.ts";
import { isAllowed } from "./xattrs.ts";

/** O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, and O_RDONLY | O_CLOEXEC. */
const openFlags = { create: 0o2000301, read: 0o2000000 };
const symlinkNoFollow = 0x100;
const kindBits = { character: 0o020000, block: 0o060000, fifo: 0o010000 };
/** Bytes of one copy_file_range(2), and of the buffer where that is not to be had. */
const pieceBytes = { range: 1024 * 1024 * 1024, buffer: 256 * 1024 };

/** The tree being made. Names go through `root`, below which there are no symbolic links but those at a path's end. */
interface Target {
  readonly root: number;
  /** The first path of a file that has several, by its identity. */
  readonly linked: LuaTable<string, string>;
  /** What folders get when nothing is made in them any more: a default ACL would change what is, and making changes times. */
  readonly folders: Folder[];
  usedBytes: number;
  inodes: number;
}

type Xattrs = readonly (readonly [string, string])[];

interface Folder {
  readonly found: Found;
  readonly xattrs: Xattrs;
}

/**
 * Makes in the empty `folder` the tree that `layers`, topmost first, show as an overlay: whiteouts and opaque folders
 * applied, names of one file still one file, holes still holes. Data is shared where the file system can (reflinks), as
 * copy_file_range(2) sees to.
 */
export function copyTree(folder: string, layers: readonly string[]): Fields {
  let roots: number[] = [];
  confine(folder, capabilities.write, () => {
    roots = openFolders([folder, ...layers]);
  });
  const [root = -1, ...sources] = roots;
  const target: Target = { root, linked: new LuaTable(), folders: [], usedBytes: 0, inodes: 0 };
  walk(sources, "applied", (found) => {
    copyEntry(target, found);
  });
  for (const made of target.folders) finishFolder(target, made);
  return { usedBytes: target.usedBytes, inodes: target.inodes };
}

function copyEntry(target: Target, found: Found): void {
  const { root, linked } = target;
  if (found.kind === "socket") return;
  const first = found.identity === "" ? undefined : linked.get(found.identity);
  if (first !== undefined) {
    if (libc.linkat(root, first, root, found.path, 0) !== 0) failErrno(`link ${first} to ${found.path}`);
    return;
  }
  target.inodes += 1;
  target.usedBytes += found.stored;
  const xattrs = readXattrs(found).filter(([name]) => isAllowed(name));
  if (found.kind === "folder") {
    // The root is there; others are for nobody until they are finished.
    if (found.path !== "" && libc.mkdirat(root, found.path, 0o700) !== 0) failErrno(`mkdir ${found.path}`);
    target.folders.push({ found, xattrs });
    return;
  }
  if (found.kind === "file") copyFile(root, found, xattrs);
  else copySpecial(root, found, xattrs);
  if (found.identity !== "") linked.set(found.identity, found.path);
}

function copyFile(root: number, found: Found, xattrs: Xattrs): void {
  const { path, size } = found;
  const noFollow = thisArchitecture().openFlags.noFollow;
  const from = libc.open(found.name, openFlags.read + noFollow, 0);
  if (from < 0) failErrno(`open ${path}`);
  const to = libc.openat(root, path, openFlags.create + noFollow, 0o600);
  if (to < 0) failErrno(`create ${path}`);
  const map = found.stored < size ? dataMap(from, size, path) : undefined;
  if (map === undefined) copyData(from, to, size, path);
  else copyPieces(from, to, map, found);
  finishOpen(to, found, xattrs);
  if (libc.close(to) !== 0) failErrno(`close ${path}`);
  libc.close(from);
}

function copyPieces(from: number, to: number, map: readonly number[], { path, size }: Found): void {
  for (let index = 0; index + 1 < map.length; index += 2) {
    const at = map[index] ?? 0;
    if (libc.lseek(from, at, 0) < 0 || libc.lseek(to, at, 0) < 0) failErrno(`lseek ${path}`);
    copyData(from, to, map[index + 1] ?? 0, path);
  }
  if (libc.ftruncate(to, size) !== 0) failErrno(`truncate ${path}`);
}

/** Copies bytes from where both files are, inside the kernel where it can. @see copy_file_range(2) */
function copyData(from: number, to: number, size: number, path: string): void {
  let left = size;
  while (left > 0) {
    const most = left < pieceBytes.range ? left : pieceBytes.range;
    const copied = tonumber(libc.copy_file_range(from, undefined, to, undefined, most, 0)) ?? -1;
    if (copied === 0) fail("format", `${path}: shorter than it was`);
    if (copied < 0) {
      const errno = ffi.errno();
      if (errno === errnos.eintr) continue;
      const isRefused =
        errno === errnos.exdev ||
        errno === errnos.einval ||
        errno === errnos.enosys ||
        errno === errnos.enotsup;
      if (!isRefused) failErrno(`copy ${path}`);
      copyThrough(from, to, left, path);
      return;
    }
    left -= copied;
  }
}

/** As {@link copyData}, through a buffer: another file system, or one that has no copy_file_range. */
function copyThrough(from: number, to: number, size: number, path: string): void {
  let left = size;
  while (left > 0) {
    const got = libc.read(from, buffer, left < pieceBytes.buffer ? left : pieceBytes.buffer);
    if (got === 0) fail("format", `${path}: shorter than it was`);
    if (got < 0) {
      if (ffi.errno() !== errnos.eintr) failErrno(`read ${path}`);
      continue;
    }
    writeAll(to, got, path);
    left -= got;
  }
}

const buffer = ffi.new(`uint8_t[${pieceBytes.buffer}]`) as ffi.Bytes;

function writeAll(to: number, count: number, path: string): void {
  let written = 0;
  while (written < count) {
    const put = libc.write(to, advance(buffer, written), count - written);
    if (put >= 0) written += put;
    else if (ffi.errno() !== errnos.eintr) failErrno(`write ${path}`);
  }
}

const times = newTimes();

/** Owner first: chown clears setuid bits and file capabilities. */
function finishOpen(fd: number, { path, mode, uid, gid, mtime, mtimeNsec }: Found, xattrs: Xattrs): void {
  if (libc.fchown(fd, uid, gid) !== 0) failErrno(`chown ${path}`);
  for (const [name, value] of xattrs) {
    if (libc.fsetxattr(fd, name, value, value.length, 0) !== 0) failErrno(`set attribute ${name} of ${path}`);
  }
  if (libc.fchmod(fd, mode) !== 0) failErrno(`chmod ${path}`);
  if (libc.futimens(fd, setTime(times, mtime, mtimeNsec)) !== 0) failErrno(`futimens ${path}`);
}

function finishFolder({ root }: Target, { found, xattrs }: Folder): void {
  const { directory, noFollow } = thisArchitecture().openFlags;
  const fd = libc.openat(
    root,
    found.path === "" ? "." : found.path,
    openFlags.read + directory + noFollow,
    0,
  );
  if (fd < 0) failErrno(`open ${found.path}`);
  finishOpen(fd, found, xattrs);
  libc.close(fd);
}

function copySpecial(root: number, found: Found, xattrs: Xattrs): void {
  const { path, kind, uid, gid, mode } = found;
  if (kind === "link") {
    const target = readLink(found);
    if (target === undefined) return fail("format", `${path}: gone while it was read`);
    if (libc.symlinkat(target, root, path) !== 0) failErrno(`symlink ${path}`);
  } else if (kind === "character" || kind === "block" || kind === "fifo") {
    if (libc.mknodat(root, path, kindBits[kind] + 0o600, deviceNumber(path, found)) !== 0)
      failErrno(`mknod ${path}`);
  }
  if (libc.fchownat(root, path, uid, gid, symlinkNoFollow) !== 0) failErrno(`chown ${path}`);
  for (const [name, value] of xattrs) {
    // No call sets an attribute by folder and name; the root of this process is the target.
    if (libc.lsetxattr(`/${path}`, name, value, value.length, 0) !== 0)
      failErrno(`set attribute ${name} of ${path}`);
  }
  if (kind !== "link" && libc.fchmodat(root, path, mode, 0) !== 0) failErrno(`chmod ${path}`);
  const time = setTime(times, found.mtime, found.mtimeNsec);
  if (libc.utimensat(root, path, time, symlinkNoFollow) !== 0) failErrno(`utimensat ${path}`);
}
