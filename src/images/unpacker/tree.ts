import * as ffi from "ffi";
import type { Bytes } from "ffi";
import type { Header } from "./header.ts";
import { atFdCwd, errnos, fail, failErrno, libc, type Timespecs } from "./libc.ts";
import { join, parentOf, partsOf } from "./paths.ts";
import { matches } from "./patterns.ts";

/**
 * The folder being filled. The process's root directory is that folder, so every path resolves inside it, whatever
 * symbolic links the layer itself made.
 */
export interface Tree {
  readonly inodes: Counter;
  /** Bytes of data in whole blocks, as du counts. */
  readonly usedBytes: Counter;
  /** Folders that hide what lower layers have in them. */
  readonly opaque: string[];
  /** Paths of whiteouts made, until something replaces them. */
  readonly whiteouts: LuaTable<string, boolean>;
  /** Folders that were made for what is in them and that no entry describes; empty is the root. */
  readonly implicit: LuaTable<string, boolean>;
  /** Modification times of folders, set at the end. */
  readonly folderTimes: LuaTable<string, Timestamp>;
  readonly times: Timespecs;
}

interface Counter {
  value: number;
}
interface Timestamp {
  readonly seconds: number;
  readonly nanoseconds: number;
}

const fileKind = { character: 0o020000, fifo: 0o010000 };
const symlinkNoFollow = 0x100;
const opaqueName = "trusted.overlay.opaque";
/** On a folder that no entry of its layer describes; never set by a layer itself. */
export const implicitName = "trusted.berth.implicit";
const maxLinksFollowed = 40;

export function openTree(): Tree {
  const implicit = new LuaTable<string, boolean>();
  implicit.set("", true);
  return {
    inodes: { value: 1 },
    usedBytes: { value: 4096 },
    opaque: [],
    whiteouts: new LuaTable(),
    implicit,
    folderTimes: new LuaTable(),
    times: newTimes(),
  };
}

/** Counts an inode and the data blocks it uses. */
export function count(tree: Tree, bytes: number): void {
  tree.inodes.value += 1;
  tree.usedBytes.value += Math.ceil(bytes / 4096) * 4096;
}

/**
 * Runs `make`, which creates `path` and fails where something is there. Missing parents are made and whatever is in
 * the way is removed, as a later entry of a layer replaces an earlier one.
 */
export function create(tree: Tree, path: string, what: string, make: () => number): number {
  for (let attempt = 0; attempt < 3; attempt++) {
    const result = make();
    if (result >= 0) return result;
    const errno = ffi.errno();
    if (errno === errnos.eexist) removePath(tree, path);
    else if (errno === errnos.enoent || errno === errnos.enotdir) makeFolders(tree, parentOf(path), 0);
    else return failErrno(`${what} ${path}`);
  }
  return failErrno(`${what} ${path}`);
}

/** Makes a folder or keeps the one that is there; anything else in its place is removed. */
export function makeFolder(tree: Tree, path: string): void {
  if (path === "") return;
  if (tree.folderTimes.has(path)) return;
  for (let attempt = 0; attempt < 3; attempt++) {
    if (libc.mkdirat(atFdCwd, path, 0o755) === 0) {
      count(tree, 4096);
      return;
    }
    const errno = ffi.errno();
    if (errno === errnos.eexist) {
      if (tree.whiteouts.has(path)) {
        replaceWhiteout(tree, path);
        return;
      }
      // On a folder unlink changes nothing and says EISDIR; anything else is out of the way now.
      if (libc.unlinkat(atFdCwd, path, 0) !== 0 && ffi.errno() === errnos.eisdir) return;
    } else if (errno === errnos.enoent || errno === errnos.enotdir) {
      makeFolders(tree, parentOf(path), 0);
    } else {
      failErrno(`mkdir ${path}`);
    }
  }
  failErrno(`mkdir ${path}`);
}

/** A folder that the same layer deletes and makes anew shows nothing of the lower one. */
function replaceWhiteout(tree: Tree, path: string): void {
  removePath(tree, path);
  if (libc.mkdirat(atFdCwd, path, 0o755) !== 0) failErrno(`mkdir ${path}`);
  count(tree, 4096);
  makeOpaque(tree, path);
}

/** Makes what is missing of a path's folders, through symbolic links to folders. */
export function makeFolders(tree: Tree, folder: string, linksFollowed: number): void {
  let made = "";
  for (const part of partsOf(folder)) {
    made = join(made, part);
    if (tree.whiteouts.has(made)) {
      replaceWhiteout(tree, made);
    } else if (libc.mkdirat(atFdCwd, made, 0o755) === 0) {
      count(tree, 4096);
      tree.implicit.set(made, true);
    } else if (ffi.errno() !== errnos.eexist) {
      failErrno(`mkdir ${made}`);
    } else {
      followLink(tree, made, linksFollowed);
    }
  }
}

/** Where a symbolic link stands in for a folder, makes the folder that it names. */
function followLink(tree: Tree, path: string, linksFollowed: number): void {
  const target = readLink(path);
  if (target === undefined) return;
  if (linksFollowed >= maxLinksFollowed) fail("format", `${path}: too many symbolic links`);
  // Lexical, and only to create folders: opening goes through the kernel, which cannot leave this root.
  const parts: string[] = [];
  for (const part of partsOf(matches(target, "^/") ? target : join(parentOf(path), target))) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  makeFolders(tree, table.concat(parts, "/"), linksFollowed + 1);
}

const linkBuffer = ffi.new("uint8_t[4096]") as Bytes;

function readLink(path: string): string | undefined {
  const length = libc.readlinkat(atFdCwd, path, linkBuffer, 4096);
  return length < 0 ? undefined : ffi.string(linkBuffer, length);
}

/** Deletes a path of this layer, a folder with all in it. */
function removePath(tree: Tree, path: string): void {
  tree.whiteouts.delete(path);
  tree.implicit.delete(path);
  tree.folderTimes.delete(path);
  if (libc.unlinkat(atFdCwd, path, 0) === 0) return;
  if (ffi.errno() !== errnos.eisdir) failErrno(`remove ${path}`);
  for (const name of listFolder(path)) removePath(tree, join(path, name));
  // 0x200 is AT_REMOVEDIR.
  if (libc.unlinkat(atFdCwd, path, 0x200) !== 0) failErrno(`remove ${path}`);
}

function listFolder(path: string): string[] {
  const directory = libc.opendir(path);
  if (directory === undefined) return failErrno(`open ${path}`);
  const names: string[] = [];
  for (;;) {
    const entry = libc.readdir(directory);
    if (entry === undefined) break;
    const name = ffi.string(entry.name);
    if (name !== "." && name !== "..") names.push(name);
  }
  libc.closedir(directory);
  return names;
}

/** Hides a path of the lower layers (OCI image spec, layer.md#whiteouts) in overlay's form: a 0:0 character device. */
export function makeWhiteout(tree: Tree, path: string): void {
  for (let attempt = 0; attempt < 2; attempt++) {
    if (libc.mknodat(atFdCwd, path, fileKind.character, 0) === 0) {
      tree.whiteouts.set(path, true);
      count(tree, 0);
      return;
    }
    const errno = ffi.errno();
    if (errno === errnos.eexist) {
      hideBelow(tree, path);
      return;
    }
    if (errno !== errnos.enoent && errno !== errnos.enotdir) failErrno(`mknod ${path}`);
    makeFolders(tree, parentOf(path), 0);
  }
  failErrno(`mknod ${path}`);
}

/** The layer has the path already: a file replaces the lower one anyway, a folder must not merge with it. */
function hideBelow(tree: Tree, path: string): void {
  if (tree.whiteouts.has(path)) return;
  const directory = readLink(path) === undefined ? libc.opendir(path) : undefined;
  if (directory === undefined) return;
  libc.closedir(directory);
  makeOpaque(tree, path);
}

/** Marks a folder so that overlay shows nothing of the lower layers in it. */
export function makeOpaque(tree: Tree, path: string): void {
  let walked = "";
  for (const part of partsOf(path)) {
    walked = join(walked, part);
    if (readLink(walked) !== undefined) fail("format", `${path}: an opaque marker behind a symbolic link`);
  }
  if (libc.lsetxattr(path === "" ? "." : path, opaqueName, "y", 1, 0) !== 0) failErrno(`mark ${path} opaque`);
  tree.opaque.push(path);
}

/** Owner, mode and time of anything that is not open; a symbolic link has no mode. */
export function applyMetadata(tree: Tree, path: string, header: Header): void {
  const isLink = header.type === "2";
  if (libc.fchownat(atFdCwd, path, header.uid, header.gid, symlinkNoFollow) !== 0) failErrno(`chown ${path}`);
  if (!isLink && libc.fchmodat(atFdCwd, path, header.mode % 4096, 0) !== 0) failErrno(`chmod ${path}`);
  setTime(tree.times, header.mtime, header.mtimeNsec);
  if (libc.utimensat(atFdCwd, path, tree.times, symlinkNoFollow) !== 0) failErrno(`utimensat ${path}`);
}

/** Puts a time where utimensat and futimens expect it. */
export function setTime(times: Timespecs, seconds: number, nanoseconds: number): Timespecs {
  times[0].tv_sec = seconds;
  times[0].tv_nsec = nanoseconds;
  times[1].tv_sec = seconds;
  times[1].tv_nsec = nanoseconds;
  return times;
}

/** Room for what {@link setTime} puts there. */
export function newTimes(): Timespecs {
  return ffi.new("berth_timespec[2]") as Timespecs;
}

/**
 * Marks the folders that no entry describes: their owner, mode and times are those of a lower layer that has them, as if the
 * layers were unpacked over each other. Returns how many there are besides the root.
 */
export function markImplicit(tree: Tree): number {
  let marked = 0;
  for (const [path] of tree.implicit) {
    if (path !== "") marked += 1;
    if (libc.lsetxattr(path === "" ? "." : path, implicitName, "y", 1, 0) !== 0) {
      // Such a file system cannot hold what overlay needs either; the folders keep what they were made with.
      if (ffi.errno() === errnos.enotsup) return 0;
      return failErrno(`mark ${path}`);
    }
  }
  return marked;
}

/** Sets the times of all folders: what was made in them has changed them. */
export function finishFolders(tree: Tree): void {
  for (const [path, time] of tree.folderTimes) {
    const times = setTime(tree.times, time.seconds, time.nanoseconds);
    const result = libc.utimensat(atFdCwd, path === "" ? "." : path, times, symlinkNoFollow);
    if (result !== 0 && ffi.errno() !== errnos.enoent && ffi.errno() !== errnos.enotdir) {
      failErrno(`utimensat ${path}`);
    }
  }
}
