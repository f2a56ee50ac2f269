import * as ffi from "ffi";
import type { Bytes } from "ffi";
import { startHash, type Hash } from "./digest.ts";
import { thisArchitecture } from "./filter.ts";
import { errnos, failErrno, libc } from "./libc.ts";
import { implicitName } from "./tree.ts";
import { isWhiteout, readLink, readXattrs, walk, type Found } from "./walk.ts";

/** `metadata`: all that stat and readlink tell; `content`: extended attributes and the bytes of files as well. */
export type Depth = "metadata" | "content";

/** What a tree hashes to, and what was counted on the way. */
export interface TreeDigest extends Record<string, string | number> {
  readonly digest: string;
  readonly entries: number;
}

const bufferBytes = 256 * 1024;
/** Bytes of lines that are hashed at once. */
const batchBytes = 64 * 1024;

/**
 * Hashes a layer's tree in overlay's form. Times of folders are left out: those that no entry of the layer named have
 * the time at which they were made. So have whiteouts, whose time only tells a tree from what it was before.
 */
export function digestTree(root: number, depth: Depth): TreeDigest {
  const hash = startHash();
  const buffer = ffi.new(`uint8_t[${bufferBytes}]`) as Bytes;
  let lines: string[] = [];
  let held = 0;
  let entries = 0;
  const flush = (): void => {
    const text = table.concat(lines);
    hash.update(text, text.length);
    lines = [];
    held = 0;
  };
  walk([root], "shown", (found) => {
    entries += 1;
    const line =
      depth === "content" ? lineOf(timeless(found)) + contentOf(found, buffer, isTheTrees) : lineOf(found);
    lines.push(line);
    held += line.length;
    if (held > batchBytes) flush();
  });
  flush();
  return { digest: hash.digest(), entries };
}

/** Tells entries apart by everything but the times of folders. */
export interface Fingerprints {
  of(found: Found): string;
}

/** `counts` says which extended attributes are looked at. */
export function createFingerprints(counts: (name: string) => boolean): Fingerprints {
  const buffer = ffi.new(`uint8_t[${bufferBytes}]`) as Bytes;
  return {
    of: (found) => {
      const hash = startHash();
      const text = lineOf(found) + contentOf(found, buffer, counts);
      hash.update(text, text.length);
      return hash.digest();
    },
  };
}

/** No entry of a layer says when a whiteout was made: each unpacking gives it another time. */
function timeless(found: Found): Found {
  return isWhiteout(found) ? { ...found, mtime: 0, mtimeNsec: 0 } : found;
}

/** Labels are given by the host's policy to whatever is made; our own mark older stores do not have. */
function isTheTrees(name: string): boolean {
  return name !== "security.selinux" && name !== implicitName;
}

function lineOf(found: Found): string {
  const { path, kind, mode, uid, gid, major, minor } = found;
  const plain = `${path}\0${kind} ${string.format("%o %d %d", mode, uid, gid)}`;
  if (kind === "folder") return `${plain}\n`;
  const time = string.format("%.0f.%d", found.mtime, found.mtimeNsec);
  if (kind === "file") return `${plain} ${time} ${string.format("%.0f %d", found.size, found.links)}\n`;
  if (kind === "link") return `${plain} ${time} ${string.format("%.0f", found.size)}\n`;
  return `${plain} ${time} ${string.format("%d:%d", major, minor)}\n`;
}

function contentOf(found: Found, buffer: Bytes, counts: (name: string) => boolean): string {
  const parts: string[] = [];
  for (const [name, value] of readXattrs(found)) {
    if (counts(name)) parts.push(`${name}=${value}\n`);
  }
  if (found.kind === "link") {
    parts.push(`${readLink(found) ?? ""}\n`);
  } else if (found.kind === "file" && found.size > 0) {
    const hash = startHash();
    hashFile(hash, found, buffer);
    parts.push(`${hash.digest()}\n`);
  }
  return table.concat(parts);
}

/** O_RDONLY | O_CLOEXEC | O_NONBLOCK: a container may put a pipe in a file's place. */
const openRead = 0o2004000;

/** Hashes as much as the file had when it was looked at; less where it is gone, or has become shorter or a link. */
function hashFile(hash: Hash, found: Found, buffer: Bytes): void {
  const fd = libc.open(found.name, openRead + thisArchitecture().openFlags.noFollow, 0);
  if (fd < 0) {
    if (ffi.errno() === errnos.enoent || ffi.errno() === errnos.eloop) return;
    failErrno(`open ${found.path}`);
  }
  let left = found.size;
  while (left > 0) {
    const got = libc.read(fd, buffer, left < bufferBytes ? left : bufferBytes);
    if (got === 0) break;
    if (got > 0) {
      hash.update(buffer, got);
      left -= got;
    } else if (ffi.errno() !== errnos.eintr) failErrno(`read ${found.path}`);
  }
  libc.close(fd);
}
