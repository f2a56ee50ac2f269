import * as ffi from "ffi";
import { capabilities, confine } from "./confine.ts";
import { thisArchitecture } from "./filter.ts";
import { errnos, fail, failErrno, libc } from "./libc.ts";
import { join } from "./paths.ts";
import { matches } from "./patterns.ts";
import { openTar, type TarEntry, type TarOutput } from "./tar-writer.ts";
import { isOpaque, isWhiteout, readXattrs, walk, type Found } from "./walk.ts";

/** `layer`: one folder in overlay's form, its marks as whiteouts (OCI image spec, layer.md); `merged`: what a container sees. */
export type PackForm = "layer" | "merged";

/** Pieces of ids, `inside:outside:count`, in which the topmost folder's owners are kept. */
export interface IdMap {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** Reads `inside:outside:count,...`; empty is no map. */
export function parseIdMap(text: string): IdMap[] {
  const map: IdMap[] = [];
  for (const [inside, outside, count] of string.gmatch(text, "(%d+):(%d+):(%d+)")) {
    map.push({
      inside: tonumber(inside) ?? 0,
      outside: tonumber(outside) ?? 0,
      count: tonumber(count) ?? 0,
    });
  }
  return map;
}

/** O_RDONLY | O_CLOEXEC, and O_NONBLOCK. */
const openFlags = { read: 0o2000000, readAtOnce: 0o2004000 };

/** Writes the tree of `folders`, topmost first, as a tar on standard output. */
export function pack(
  form: PackForm,
  uids: readonly IdMap[],
  gids: readonly IdMap[],
  folders: readonly string[],
): void {
  const roots = openConfined(folders);
  const tar = openTar(1);
  const linked = new LuaTable<string, string>();
  walk(roots, form === "layer" ? "shown" : "applied", (found) => {
    if (form === "layer" && isWhiteout(found)) {
      writeMark(tar, found, join(parentOf(found), `.wh.${found.name}`));
      return;
    }
    const owner =
      found.layer === 0
        ? { uid: inside(found, uids, found.uid), gid: inside(found, gids, found.gid) }
        : { uid: found.uid, gid: found.gid };
    writeFound(tar, { ...found, ...owner }, linked);
    if (form === "layer" && found.kind === "folder" && isOpaque(found.name)) {
      writeMark(tar, found, join(found.path, ".wh..wh..opq"));
    }
  });
  tar.end();
}

/** Opens the folders, then leaves this process nothing but them. */
export function openConfined(folders: readonly string[]): number[] {
  const roots: number[] = [];
  confine(folders[0] ?? "", capabilities.read, () => {
    for (const folder of folders) {
      const fd = libc.open(folder, openFlags.read + thisArchitecture().openFlags.directory, 0);
      if (fd < 0) failErrno(`open ${folder}`);
      roots.push(fd);
    }
  });
  return roots;
}

function parentOf({ path, name }: Found): string {
  // A negative place would count from the end.
  return path === name ? "" : string.sub(path, 1, path.length - name.length - 1);
}

function inside(found: Found, map: readonly IdMap[], id: number): number {
  if (map.length === 0) return id;
  for (const piece of map) {
    if (id >= piece.outside && id < piece.outside + piece.count) return piece.inside + id - piece.outside;
  }
  return fail("format", `${found.path}: its owner ${id} is none of the container's`);
}

/** A whiteout or the mark of an opaque folder: an empty file of a reserved name. */
function writeMark(tar: TarOutput, found: Found, name: string): void {
  tar.entry({ ...headerOf(found, []), name, type: "0", mode: 0, uid: 0, gid: 0, mtimeNsec: 0 });
}

function writeFound(tar: TarOutput, found: Found, linked: LuaTable<string, string>): void {
  if (found.kind === "socket") return;
  if (found.kind !== "folder" && linked.has(found.identity)) {
    tar.entry({ ...headerOf(found, []), type: "1", linkName: linked.get(found.identity) });
    return;
  }
  const xattrs = taken(found);
  if (found.kind === "file") {
    if (!writeFile(tar, found, xattrs)) return;
  } else if (found.kind === "folder") {
    tar.entry({ ...headerOf(found, xattrs), type: "5", name: found.path === "" ? "./" : `${found.path}/` });
  } else if (found.kind === "link") {
    const target = readLink(found);
    if (target === undefined) return;
    tar.entry({ ...headerOf(found, xattrs), type: "2", linkName: target });
  } else {
    const type = found.kind === "fifo" ? "6" : found.kind === "block" ? "4" : "3";
    const { major, minor } = found.kind === "fifo" ? { major: 0, minor: 0 } : found;
    tar.entry({ ...headerOf(found, xattrs), type, major, minor });
  }
  if (found.kind !== "folder" && found.links > 1) linked.set(found.identity, found.path);
}

function headerOf(found: Found, records: TarEntry["records"]): TarEntry {
  const { path, mode, uid, gid, mtime, mtimeNsec } = found;
  return {
    name: path,
    type: "0",
    linkName: "",
    mode,
    uid,
    gid,
    size: 0,
    mtime,
    mtimeNsec,
    major: 0,
    minor: 0,
    records,
  };
}

/** Attributes that travel: a file's capabilities, ACLs, the user's own. Labels belong to the host. */
function taken(found: Found): (readonly [string, string])[] {
  const records: (readonly [string, string])[] = [];
  for (const [name, content] of readXattrs(found)) {
    if (name === "trusted.overlay.metacopy" || name === "trusted.overlay.redirect") {
      fail("format", `${found.path}: overlay keeps a part of it elsewhere (${name}), which is not supported`);
    }
    const isTaken =
      name === "security.capability" ||
      matches(name, "^user%.") ||
      matches(name, "^system%.posix_acl_") ||
      (matches(name, "^trusted%.") && !matches(name, "^trusted%.overlay%."));
    if (isTaken) records.push([`SCHILY.xattr.${name}`, content]);
  }
  return records;
}

/** False where the file is gone. */
function writeFile(tar: TarOutput, found: Found, xattrs: TarEntry["records"]): boolean {
  const fd = libc.open(found.name, openFlags.readAtOnce + thisArchitecture().openFlags.noFollow, 0);
  if (fd < 0) {
    if (ffi.errno() === errnos.enoent || ffi.errno() === errnos.eloop) return false;
    failErrno(`open ${found.path}`);
  }
  const map = found.stored < found.size ? dataMap(fd, found) : undefined;
  if (map === undefined) {
    tar.entry({ ...headerOf(found, xattrs), size: found.size });
    tar.copyFrom(fd, found.size, found.path);
    tar.pad(found.size);
  } else {
    writeSparse(tar, fd, found, xattrs, map);
  }
  libc.close(fd);
  return true;
}

const seek = { data: 3, hole: 4 };

/** Offset and length of each piece of data; undefined where the file is one piece. @see lseek(2) */
function dataMap(fd: number, { size, path }: Found): number[] | undefined {
  const map: number[] = [];
  let at = 0;
  while (at < size) {
    const start = tonumber(libc.lseek(fd, at, seek.data)) ?? -1;
    // ENXIO: nothing but a hole up to the end.
    if (start < 0 || start >= size) break;
    const end = tonumber(libc.lseek(fd, start, seek.hole)) ?? -1;
    if (end < 0) failErrno(`seek in ${path}`);
    const stop = end < size ? end : size;
    map.push(start, stop - start);
    at = stop;
  }
  libc.lseek(fd, 0, 0);
  return map[0] === 0 && map[1] === size ? undefined : map;
}

/** GNU tar's sparse format 1.0: the map is text before the data, ended by a piece of no bytes at the file's end. */
function writeSparse(
  tar: TarOutput,
  fd: number,
  found: Found,
  xattrs: TarEntry["records"],
  map: number[],
): void {
  const pieces = [...map, found.size, 0];
  const lines = [string.format("%d", pieces.length / 2)];
  let stored = 0;
  pieces.forEach((number, index) => {
    lines.push(string.format("%.0f", number));
    if (index % 2 === 1) stored += number;
  });
  let text = `${table.concat(lines, "\n")}\n`;
  if (text.length % 512 > 0) text += string.rep("\0", 512 - (text.length % 512));
  const records: TarEntry["records"] = [
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", found.path],
    ["GNU.sparse.realsize", string.format("%.0f", found.size)],
    ...xattrs,
  ];
  const size = text.length + stored;
  tar.entry({
    ...headerOf(found, records),
    name: join(parentOf(found), `GNUSparseFile.0/${found.name}`),
    size,
  });
  tar.text(text);
  for (let index = 0; index + 1 < map.length; index += 2) {
    libc.lseek(fd, map[index] ?? 0, 0);
    tar.copyFrom(fd, map[index + 1] ?? 0, found.path);
  }
  tar.pad(size);
}

const maxTargetBytes = 4096;
const target = ffi.new(`uint8_t[${maxTargetBytes}]`) as ffi.Bytes;

function readLink(found: Found): string | undefined {
  const length = libc.readlinkat(-100, found.name, target, maxTargetBytes);
  if (length >= 0) return ffi.string(target, length);
  return ffi.errno() === errnos.enoent ? undefined : failErrno(`readlink ${found.path}`);
}
