import * as ffi from "ffi";
import { capabilities, confine } from "./confine.ts";
import { thisArchitecture } from "./filter.ts";
import { compare, whiteoutOf } from "./difference.ts";
import { dataMap } from "./holes.ts";
import { errnos, fail, failErrno, libc } from "./libc.ts";
import { join, parentOf } from "./paths.ts";
import { matches } from "./patterns.ts";
import { openTar, plainHeader, type TarEntry, type TarOutput } from "./tar-writer.ts";
import { isOpaque, isWhiteout, openFolders, readLink, readXattrs, walk, type Found } from "./walk.ts";

/**
 * `layer`: one folder in overlay's form, its marks as whiteouts (OCI image spec, layer.md); `merged`: what a container
 * sees; `difference`: where the topmost folder, a copy of what the others show, is no longer as they are, as a layer.
 */
export type PackForm = "layer" | "merged" | "difference";

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

/** O_RDONLY | O_CLOEXEC | O_NONBLOCK. */
const openRead = 0o2004000;

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
  if (form === "difference") {
    packDifference(tar, roots, linked);
    tar.end();
    return;
  }
  walk(roots, form === "layer" ? "shown" : "applied", (found) => {
    if (form === "layer" && isWhiteout(found)) {
      writeMark(tar, whiteoutOf(parentOf(found.path), found.name), found.mtime);
      return;
    }
    const owner =
      found.layer === 0
        ? { uid: inside(found, uids, found.uid), gid: inside(found, gids, found.gid) }
        : { uid: found.uid, gid: found.gid };
    writeFound(tar, { ...found, ...owner }, linked);
    if (form === "layer" && found.kind === "folder" && isOpaque(found.name)) {
      writeMark(tar, join(found.path, ".wh..wh..opq"), found.mtime);
    }
  });
  tar.end();
}

/** Opens the folders, then leaves this process nothing but them. */
export function openConfined(folders: readonly string[]): number[] {
  let roots: number[] = [];
  confine(folders[0] ?? "", capabilities.read, () => {
    roots = openFolders(folders);
  });
  return roots;
}

function inside(found: Found, map: readonly IdMap[], id: number): number {
  if (map.length === 0) return id;
  for (const piece of map) {
    if (id >= piece.outside && id < piece.outside + piece.count) return piece.inside + id - piece.outside;
  }
  return fail("format", `${found.path}: its owner ${id} is none of the container's`);
}

/** A whiteout or the mark of an opaque folder: an empty file of a reserved name. */
function writeMark(tar: TarOutput, name: string, mtime: number): void {
  tar.entry({ ...plainHeader, name, mode: 0, mtime });
}

/**
 * The folders of all that changed are told as well: a layer's folder gives its owner and mode to those below it. The ids of
 * a copy are those inside, since it is seen through an id-mapped mount.
 */
function packDifference(tar: TarOutput, roots: readonly number[], linked: LuaTable<string, string>): void {
  const [copy = -1, ...layers] = roots;
  const untold = new LuaTable<string, TarEntry>();
  const tellFolders = (path: string): void => {
    if (!untold.has(path)) return;
    if (path !== "") tellFolders(parentOf(path));
    tar.entry(untold.get(path));
    untold.delete(path);
  };
  const remember = (found: Found): void => {
    if (found.kind === "folder") untold.set(found.path, folderHeader(found, taken(found)));
  };
  compare(copy, layers, {
    kept: (found) => {
      remember(found);
    },
    changed: (found) => {
      remember(found);
      tellFolders(found.kind === "folder" ? found.path : parentOf(found.path));
      if (found.kind !== "folder") writeFound(tar, found, linked);
    },
    gone: (folder, name) => {
      tellFolders(folder);
      writeMark(tar, whiteoutOf(folder, name), 0);
    },
  });
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
    tar.entry(folderHeader(found, xattrs));
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

function folderHeader(found: Found, xattrs: TarEntry["records"]): TarEntry {
  return { ...headerOf(found, xattrs), type: "5", name: found.path === "" ? "./" : `${found.path}/` };
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
  const fd = libc.open(found.name, openRead + thisArchitecture().openFlags.noFollow, 0);
  if (fd < 0) {
    if (ffi.errno() === errnos.enoent || ffi.errno() === errnos.eloop) return false;
    failErrno(`open ${found.path}`);
  }
  const map = found.stored < found.size ? dataMap(fd, found.size, found.path) : undefined;
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
    name: join(parentOf(found.path), `GNUSparseFile.0/${found.name}`),
    size,
  });
  tar.text(text);
  for (let index = 0; index + 1 < map.length; index += 2) {
    libc.lseek(fd, map[index] ?? 0, 0);
    tar.copyFrom(fd, map[index + 1] ?? 0, found.path);
  }
  tar.pad(size);
}
