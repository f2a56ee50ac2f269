import type { Header } from "./header.ts";
import { atFdCwd, fail, failErrno, libc } from "./libc.ts";
import type { Pax } from "./pax.ts";
import { baseOf, cleanPath, join, parentOf } from "./paths.ts";
import type { Source } from "./source.ts";
import type { SparseFile } from "./sparse.ts";
import type { Tree } from "./tree.ts";
import {
  applyMetadata,
  count,
  create,
  makeFolder,
  makeFolders,
  makeOpaque,
  makeWhiteout,
  setTime,
} from "./tree.ts";
import { applyXattrs } from "./xattrs.ts";

/** O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC: an existing path, a symbolic link as well, is never opened. */
const openNew = 0o2000301;
const maxMinor = 1048575;

/** Puts one entry into the tree; its data is the next of the source. Returns how many attributes were left out. */
export function writeEntry(
  tree: Tree,
  source: Source,
  header: Header,
  pax: Pax,
  sparse?: SparseFile,
): number {
  const path = cleanPath(header.name);
  const base = baseOf(path);
  if (string.sub(base, 1, 4) === ".wh.") {
    writeWhiteout(tree, path, base);
    source.skip(header.size, path);
    return 0;
  }
  if (header.uid > 4294967294 || header.gid > 4294967294) fail("format", `${path}: owner out of range`);
  if (header.type === "5" || isOldFolder(header)) return writeFolder(tree, path, header, pax);
  if (path === "") return fail("format", "the root of a layer must be a folder");
  if (header.type === "1") {
    writeHardLink(tree, path, header);
    return 0;
  }
  if (header.type === "0" || header.type === "7" || header.type === "S") {
    return writeFile(tree, source, path, header, pax, sparse);
  }
  writeSpecial(tree, path, header);
  const skipped = applyXattrs(path, pax.xattrs);
  applyMetadata(tree, path, header);
  count(tree, 0);
  return skipped;
}

/** Tars before POSIX marked folders by a slash alone. */
function isOldFolder(header: Header): boolean {
  return header.type === "0" && string.sub(header.name, -1) === "/";
}

function writeWhiteout(tree: Tree, path: string, base: string): void {
  const folder = parentOf(path);
  if (base === ".wh..wh..opq") {
    makeFolders(tree, folder, 0);
    makeOpaque(tree, folder);
    return;
  }
  // Other names of this form are the book-keeping of AUFS.
  if (string.sub(base, 1, 8) === ".wh..wh.") return;
  const name = string.sub(base, 5);
  if (name === "" || name === "." || name === "..") fail("format", `${path}: a whiteout without a name`);
  makeWhiteout(tree, join(folder, name));
}

function writeFolder(tree: Tree, path: string, header: Header, pax: Pax): number {
  makeFolder(tree, path);
  tree.implicit.delete(path);
  const place = path === "" ? "." : path;
  const skipped = applyXattrs(place, pax.xattrs);
  if (libc.fchownat(atFdCwd, place, header.uid, header.gid, 0) !== 0) failErrno(`chown ${path}`);
  if (libc.fchmodat(atFdCwd, place, header.mode % 4096, 0) !== 0) failErrno(`chmod ${path}`);
  tree.folderTimes.set(path, { seconds: header.mtime, nanoseconds: header.mtimeNsec });
  return skipped;
}

function writeHardLink(tree: Tree, path: string, header: Header): void {
  const target = cleanPath(header.linkName);
  if (target === path) return;
  if (tree.whiteouts.has(target))
    fail("format", `${path}: a hard link to ${target}, which the layer deletes`);
  // Without AT_SYMLINK_FOLLOW a link to a symbolic link is to the link itself.
  create(tree, path, `link ${target} to`, () => libc.linkat(atFdCwd, target, atFdCwd, path, 0));
}

function writeFile(
  tree: Tree,
  source: Source,
  path: string,
  header: Header,
  pax: Pax,
  sparse: SparseFile | undefined,
): number {
  const fd = create(tree, path, "create", () => libc.open(path, openNew, 0o600));
  if (sparse === undefined) source.copyTo(fd, header.size, path);
  else writePieces(source, fd, path, sparse);
  // Owner first: chown clears setuid bits and file capabilities.
  if ((header.uid !== 0 || header.gid !== 0) && libc.fchown(fd, header.uid, header.gid) !== 0) {
    failErrno(`chown ${path}`);
  }
  const skipped = next(pax.xattrs)[0] === undefined ? 0 : applyXattrs(path, pax.xattrs);
  if (libc.fchmod(fd, header.mode % 4096) !== 0) failErrno(`chmod ${path}`);
  if (libc.futimens(fd, setTime(tree.times, header.mtime, header.mtimeNsec)) !== 0)
    failErrno(`futimens ${path}`);
  if (libc.close(fd) !== 0) failErrno(`close ${path}`);
  count(tree, sparse?.storedBytes ?? header.size);
  return skipped;
}

function writePieces(source: Source, fd: number, path: string, sparse: SparseFile): void {
  for (let index = 0; index + 1 < sparse.map.length; index += 2) {
    if (libc.lseek(fd, sparse.map[index] ?? 0, 0) < 0) failErrno(`lseek ${path}`);
    source.copyTo(fd, sparse.map[index + 1] ?? 0, path);
  }
  if (libc.ftruncate(fd, sparse.realSize) !== 0) failErrno(`truncate ${path}`);
}

function writeSpecial(tree: Tree, path: string, header: Header): void {
  if (header.type === "2") {
    if (header.linkName === "") fail("format", `${path}: a symbolic link to nothing`);
    create(tree, path, "symlink", () => libc.symlinkat(header.linkName, atFdCwd, path));
  } else if (header.type === "3" || header.type === "4") {
    const kind = header.type === "3" ? 0o020000 : 0o060000;
    create(tree, path, "mknod", () => libc.mknodat(atFdCwd, path, kind + 0o600, deviceNumber(path, header)));
  } else if (header.type === "6") {
    create(tree, path, "mkfifo", () => libc.mknodat(atFdCwd, path, 0o010600, 0));
  } else {
    fail("format", `${path}: entries of type "${header.type}" are not supported`);
  }
}

/** The C library's makedev(3), which the kernel's 32 bits limit to 12 bits of major and 20 of minor. */
export function deviceNumber(path: string, header: Pick<Header, "major" | "minor">): number {
  if (header.major > 4095 || header.minor > maxMinor) fail("format", `${path}: device number out of range`);
  const low = header.minor % 256;
  return low + header.major * 256 + (header.minor - low) * 4096;
}
