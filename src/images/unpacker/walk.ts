import * as ffi from "ffi";
import type { Bytes, Struct } from "ffi";
import { thisArchitecture } from "./filter.ts";
import { atFdCwd, errnos, fail, failErrno, libc, long, type Statx } from "./libc.ts";
import { join } from "./paths.ts";
import { implicitName } from "./tree.ts";

/** What an entry is, by the bits of its mode. */
export type Kind = "fifo" | "character" | "folder" | "block" | "file" | "link" | "socket";

/** An entry of the tree; the working folder is the one it lies in, where it is called `name`. */
export interface Found {
  /** From the root of the tree; empty is the root itself. */
  readonly path: string;
  readonly name: string;
  readonly kind: Kind;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Bytes on disk; less than the size where a file has holes. */
  readonly stored: number;
  readonly mtime: number;
  readonly mtimeNsec: number;
  readonly major: number;
  readonly minor: number;
  readonly links: number;
  /** The same for all names of one file. */
  readonly identity: string;
  /** Which of the folders it comes from, counted from 0, the topmost. */
  readonly layer: number;
}

/** Overlay's marks: a device 0:0 hides a name, a folder marked opaque all that lower layers have in it. */
export function isWhiteout(found: Found): boolean {
  return found.kind === "character" && found.major === 0 && found.minor === 0;
}

const noFollow = 0x100;
const statxBasic = 0x7ff;
/** O_RDONLY | O_CLOEXEC. */
const openRead = 0o2000000;
/** RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH. */
const resolveBeneath = 0x02 + 0x04 + 0x08;

const kinds: Record<number, Kind> = {
  0x1: "fifo",
  0x2: "character",
  0x4: "folder",
  0x6: "block",
  0x8: "file",
  0xa: "link",
  0xc: "socket",
};

/** Told of what there is, and of which layer overlay would take it from. */
type Visit = (found: Found, topmost: number) => void;

/** `shown`: overlay's marks are entries like others; `applied`: they hide what they hide from a container. */
export type Marks = "shown" | "applied";

/** Opens the roots of trees to walk, before there is nothing else to see. */
export function openFolders(folders: readonly string[]): number[] {
  const roots: number[] = [];
  for (const folder of folders) {
    const fd = libc.open(folder, openRead + thisArchitecture().openFlags.directory, 0);
    if (fd < 0) failErrno(`open ${folder}`);
    roots.push(fd);
  }
  return roots;
}

/**
 * Visits the tree that folders make when they lie on each other as overlay's layers do, the topmost first. With marks
 * applied a folder that no entry of its layer describes is the one of the layer below that has it described; `topmost` is
 * the layer that overlay would take it from. Every folder comes right before what is in it, first what is no folder, names in byte order. What goes away meanwhile is left out. No symbolic link is followed and nothing outside of the folders is reached, whatever a
 * container does to them at the same time.
 */
export function walk(roots: readonly number[], marks: Marks, visit: Visit): void {
  const shown = marks === "shown" ? 0 : describedRoot(roots);
  if (libc.fchdir(roots[shown] ?? -1) !== 0) failErrno("chdir to the root");
  const top = look("", ".", shown);
  if (top === undefined) return fail("format", "the tree has no root");
  visit(top, 0);
  let next: Child | undefined = {
    parent: "",
    name: "",
    path: "",
    layers: roots.map((_root, index) => index),
    shown,
  };
  const pending: Child[] = [];
  while (next !== undefined) {
    if (next.path !== "") visitFolder(roots, next, visit);
    const folders: Child[] = walkFolder(roots, next, marks, visit);
    for (let index = folders.length - 1; index >= 0; index--) {
      const folder = folders[index];
      if (folder !== undefined) pending.push(folder);
    }
    next = pending.pop();
  }
}

/** Visits a folder itself, from the one that it lies in. */
function visitFolder(roots: readonly number[], child: Child, visit: Visit): void {
  const layer = child.shown;
  const parent = openBeneath(roots[layer] ?? -1, child.parent === "" ? "." : child.parent);
  if (parent === undefined) return;
  if (libc.fchdir(parent) !== 0) failErrno(`chdir ${child.parent}`);
  const found = look(child.path, child.name, layer);
  if (found?.kind === "folder") visit(found, child.layers[0] ?? layer);
  libc.close(parent);
}

/** A folder that is still to be visited. */
interface Child {
  readonly parent: string;
  readonly name: string;
  readonly path: string;
  readonly layers: readonly number[];
  /** The layer whose folder it is shown as. */
  readonly shown: number;
}

/** Visits what is in one folder but for folders, which it returns. */
function walkFolder(roots: readonly number[], { path, layers }: Child, marks: Marks, visit: Visit): Child[] {
  const folders: Child[] = [];
  const opened: Opened[] = [];
  for (const layer of layers) {
    const fd = openBeneath(roots[layer] ?? -1, path === "" ? "." : path);
    if (fd !== undefined) opened.push({ layer, fd });
  }
  const [names, topmost] = merge(opened, path);
  for (const name of names) {
    const at = topmost.get(name);
    const { fd, layer } = opened[at] ?? { fd: -1, layer: 0 };
    if (libc.fchdir(fd) !== 0) failErrno(`chdir ${path}`);
    const found = look(join(path, name), name, layer);
    if (found === undefined || (marks === "applied" && isWhiteout(found))) continue;
    if (found.kind !== "folder") {
      visit(found, layer);
      continue;
    }
    const shown = marks === "shown" ? layer : describedLayer(opened, at, name, layer);
    // Looking there has left the folder that it lies in.
    if (libc.fchdir(fd) !== 0) failErrno(`chdir ${path}`);
    const layers = below(opened, at, name, layer, marks);
    folders.push({ parent: path, name, path: found.path, layers, shown });
  }
  for (const { fd } of opened) libc.close(fd);
  return folders;
}

/** The topmost layer that has an entry for a folder; the one given where none has. */
function describedLayer(opened: readonly Opened[], from: number, name: string, first: number): number {
  if (!isImplicit(name)) return first;
  for (let index = from + 1; index < opened.length; index++) {
    const { fd, layer } = opened[index] ?? { fd: -1, layer: 0 };
    libc.fchdir(fd);
    const found = look(name, name, layer);
    if (found === undefined) continue;
    if (found.kind !== "folder") break;
    if (!isImplicit(name)) return layer;
  }
  return first;
}

function describedRoot(roots: readonly number[]): number {
  for (const [index, root] of roots.entries()) {
    if (libc.fchdir(root) !== 0) failErrno("chdir to the root");
    if (!isImplicit(".")) return index;
  }
  return 0;
}

interface Opened {
  readonly layer: number;
  readonly fd: number;
}

/** All names of a merged folder in byte order, and which of the opened folders has each as the topmost. */
function merge(opened: readonly Opened[], path: string): [string[], LuaTable<string, number>] {
  const topmost = new LuaTable<string, number>();
  const names: string[] = [];
  opened.forEach(({ fd }, index) => {
    if (libc.fchdir(fd) !== 0) failErrno(`chdir ${path}`);
    const directory = libc.opendir(".");
    if (directory === undefined) return failErrno(`open ${path}`);
    for (;;) {
      const entry = libc.readdir(directory);
      if (entry === undefined) break;
      const name = ffi.string(entry.name);
      if (name !== "." && name !== ".." && !topmost.has(name)) {
        topmost.set(name, index);
        names.push(name);
      }
    }
    libc.closedir(directory);
  });
  table.sort(names);
  return [names, topmost];
}

/** The layers that show in a folder: down to one that hides what is below it. */
function below(opened: readonly Opened[], from: number, name: string, first: number, marks: Marks): number[] {
  const layers = [first];
  let hides = marks === "shown" || isOpaque(name);
  for (let index = from + 1; index < opened.length && !hides; index++) {
    const { fd, layer } = opened[index] ?? { fd: -1, layer: 0 };
    libc.fchdir(fd);
    const found = look(name, name, layer);
    if (found === undefined) continue;
    if (found.kind !== "folder") break;
    layers.push(layer);
    hides = isOpaque(name);
  }
  return layers;
}

const status = ffi.new("berth_statx") as Statx & Struct<"berth_statx">;

/** Looks at a name of the working folder; undefined where it is gone. */
function look(path: string, name: string, layer: number): Found | undefined {
  if (libc.statx(atFdCwd, name, noFollow, statxBasic, status) !== 0) {
    if (ffi.errno() === errnos.enoent) return undefined;
    return failErrno(`stat ${path}`);
  }
  return {
    path,
    name,
    kind: kinds[Math.floor(status.mode / 0x1000)] ?? fail("format", `${path}: of no known kind`),
    mode: status.mode % 0x1000,
    uid: status.uid,
    gid: status.gid,
    size: tonumber(status.size) ?? 0,
    stored: (tonumber(status.blocks) ?? 0) * 512,
    mtime: tonumber(status.mtime.sec) ?? 0,
    mtimeNsec: status.mtime.nsec,
    major: status.rdev_major,
    minor: status.rdev_minor,
    links: status.nlink,
    identity: status.nlink > 1 ? `${layer}:${tostring(status.ino)}` : "",
    layer,
  };
}

/** Opens a folder below another, through folders alone; undefined where it is gone or no folder any more. */
function openBeneath(root: number, path: string): number | undefined {
  const { openat2, openFlags } = thisArchitecture();
  const flags = openRead + openFlags.directory + openFlags.noFollow;
  const how = ffi.new("berth_open_how", flags, 0, resolveBeneath) as Struct<"berth_open_how">;
  const name = ffi.new(`char[${path.length + 1}]`, path);
  const fd = libc.syscall(long(openat2), long(root), name, how, long(24));
  if (fd >= 0) return tonumber(fd);
  const errno = ffi.errno();
  if (errno === errnos.enoent || errno === errnos.enotdir || errno === errnos.eloop) return undefined;
  return failErrno(`open ${path}`);
}

const one = ffi.new("uint8_t[1]") as Bytes;

/** Whether overlay shows nothing of lower layers in a folder of the working folder. */
export function isOpaque(name: string): boolean {
  return libc.lgetxattr(name, "trusted.overlay.opaque", one, 1) === 1 && one[0] === 0x79;
}

/** Whether a folder of the working folder is there for what is in it alone, without an entry of its own. */
function isImplicit(name: string): boolean {
  return libc.lgetxattr(name, implicitName, one, 1) === 1;
}

const maxListBytes = 65536;
const list = ffi.new(`uint8_t[${maxListBytes}]`) as Bytes;
const value = ffi.new(`uint8_t[${maxListBytes}]`) as Bytes;

/** Extended attributes of a name in the working folder, in byte order. */
export function readXattrs(found: Found): [string, string][] {
  const length = libc.llistxattr(found.name, list, maxListBytes);
  if (length === 0) return [];
  if (length < 0) {
    if (ffi.errno() === errnos.enotsup || ffi.errno() === errnos.enoent) return [];
    return failErrno(`list attributes of ${found.path}`);
  }
  const names: string[] = [];
  for (const [name] of string.gmatch(ffi.string(list, length), "[^%z]+")) names.push(name ?? "");
  table.sort(names);
  const attributes: [string, string][] = [];
  for (const name of names) {
    const size = libc.lgetxattr(found.name, name, value, maxListBytes);
    if (size >= 0) attributes.push([name, ffi.string(value, size)]);
    else if (ffi.errno() !== errnos.enodata && ffi.errno() !== errnos.enoent)
      failErrno(`read attribute ${name} of ${found.path}`);
  }
  return attributes;
}

const maxTargetBytes = 4096;
const target = ffi.new(`uint8_t[${maxTargetBytes}]`) as Bytes;

/** Where a symbolic link of the working folder leads; undefined where it is gone. */
export function readLink(found: Found): string | undefined {
  const length = libc.readlinkat(atFdCwd, found.name, target, maxTargetBytes);
  if (length >= 0) return ffi.string(target, length);
  return ffi.errno() === errnos.enoent ? undefined : failErrno(`readlink ${found.path}`);
}
