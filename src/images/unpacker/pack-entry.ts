import * as ffi from "ffi";
import { thisArchitecture } from "./filter.ts";
import { dataMap } from "./holes.ts";
import { errnos, fail, failErrno, libc } from "./libc.ts";
import { join, parentOf } from "./paths.ts";
import { matches } from "./patterns.ts";
import type { TarEntry, TarOutput } from "./tar-writer.ts";
import { readLink, readXattrs, type Found } from "./walk.ts";

/** O_RDONLY | O_CLOEXEC | O_NONBLOCK. */
const openRead = 0o2004000;

/** Writes one entry, a further name of a file as a link; `linked` has the first names. Sockets and what is gone are left out. */
export function writeFound(tar: TarOutput, found: Found, linked: LuaTable<string, string>): void {
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

/** The entry of a folder. */
export function folderHeader(found: Found, xattrs: TarEntry["records"]): TarEntry {
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
export function taken(found: Found): (readonly [string, string])[] {
  const records: (readonly [string, string])[] = [];
  for (const [name, content] of readXattrs(found)) {
    if (name === "trusted.overlay.metacopy" || name === "trusted.overlay.redirect") {
      fail("format", `${found.path}: overlay keeps a part of it elsewhere (${name}), which is not supported`);
    }
    const isTaken =
      name === "security.capability" ||
      matches(name, "^user%.") ||
      matches(name, "^system%.posix_acl_") ||
      (matches(name, "^trusted%.") &&
        !matches(name, "^trusted%.overlay%.") &&
        !matches(name, "^trusted%.berth%."));
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
