import { FS_MAGIC, O, RESOLVE, S } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { close, fsType, fstat, isType, openat2, readlink } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";

/** The container's root while it is put together: an open mount, and where it is attached. */
export interface NewRoot {
  readonly fd: number;
  readonly path: string;
}

const insideRoot = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;
const folderMode = 0o755;
const fileMode = 0o644;
/** Dangling symlinks that are followed to make what they point at. */
const maxLinks = 8;

/**
 * Files of procfs that a bind mount may lie over: what lxcfs and its like provide. Anything else below /proc would
 * let a mount stand in for what the runtime or the container's processes trust (CVE-2019-16884, CVE-2019-19921).
 */
const bindableProcFiles: readonly string[] = [
  "/proc/cpuinfo",
  "/proc/diskstats",
  "/proc/loadavg",
  "/proc/meminfo",
  "/proc/net/dev",
  "/proc/slabinfo",
  "/proc/stat",
  "/proc/swaps",
  "/proc/sys/crypto/fips_enabled",
  "/proc/sys/kernel/ns_last_pid",
  "/proc/uptime",
];

/** Opens what `path` means inside the root, symlinks included, without ever leaving it; `undefined` for ENOENT. */
export function openInRoot(root: NewRoot, path: string): number | undefined {
  return openat2(root.fd, relative(path), O.PATH, insideRoot);
}

/** Opens a mount's target, making it and the folders on the way where they are missing. */
export function openTarget(root: NewRoot, path: string, kind: "folder" | "file"): number {
  const found = openInRoot(root, path);
  if (found !== undefined) return found;
  return kind === "folder" ? makeFolder(root, path, 0) : makeFile(root, path, 0);
}

function makeFile(root: NewRoot, path: string, links: number): number {
  const [parent, name] = string.match(path, "^(.*)/([^/]+)/*$");
  if (parent === undefined || name === undefined) return makeFolder(root, path, links);
  const folder = makeFolder(root, parent, links);
  const fd = C.openat(folder, name, O.CREAT | O.EXCL | O.WRONLY | O.NOFOLLOW | O.CLOEXEC, fileMode);
  const aim = fd < 0 ? danglingAim(folder, parent, name, "create", links) : undefined;
  close(folder);
  // A symlink to nowhere, such as /etc/resolv.conf to an absent /run: make what it points at, still inside the root.
  if (aim !== undefined) return openInRoot(root, aim) ?? makeFile(root, aim, links + 1);
  close(fd);
  return opened(root, path);
}

/** mkdir -p inside the root; returns the folder, open. */
export function makeFolder(root: NewRoot, path: string, links: number): number {
  let reached = "";
  let folder = opened(root, "/");
  for (const [part] of string.gmatch(path, "[^/]+")) {
    const next = `${reached}/${part}`;
    const found = openInRoot(root, next) ?? makeOne(root, folder, reached, part as string, links);
    close(folder);
    folder = found;
    reached = next;
  }
  if (!isType(fstat(folder), S.IFDIR)) throw failure("invalid-argument", `${path}: not a directory`);
  return folder;
}

function makeOne(root: NewRoot, parent: number, parentPath: string, name: string, links: number): number {
  const path = `${parentPath}/${name}`;
  if (C.mkdirat(parent, name, folderMode) === 0) return opened(root, path);
  close(makeFolder(root, danglingAim(parent, parentPath, name, "mkdir", links), links + 1));
  return opened(root, path);
}

/** What the symlink that stood in the way of `call` points at; throws the call's error where it was something else. */
function danglingAim(parent: number, parentPath: string, name: string, call: string, links: number): string {
  const number = errno();
  const link = number === E.EXIST ? readlink(name, parent) : undefined;
  if (link === undefined || links >= maxLinks) throw sysError(call, `${parentPath}/${name}`, number);
  return string.sub(link, 1, 1) === "/" ? link : `${parentPath}/${link}`;
}

function opened(root: NewRoot, path: string): number {
  const fd = openInRoot(root, path);
  if (fd === undefined) throw sysError("open", path, E.NOENT);
  return fd;
}

/** openat2 with RESOLVE_IN_ROOT takes `/` as the root as well; an empty path is no path. */
function relative(path: string): string {
  return path === "" ? "/" : path;
}

/** Where an open target really is, as the container will see it. */
export function resolvedPath(root: NewRoot, fd: number): string {
  const full = readlink(`/proc/self/fd/${fd}`) ?? "";
  if (full === root.path) return "/";
  return string.sub(full, root.path.length + 1);
}

/** Refuses a mount that would hide or replace procfs; `mountFd` is what is to be mounted. */
export function guardProc(root: NewRoot, target: number, mountFd: number, destination: string): void {
  const place = resolvedPath(root, target);
  const below = place === "/proc" || string.sub(place, 1, 6) === "/proc/" || fsType(target) === FS_MAGIC.PROC;
  if (!below) return;
  if (place === "/proc" && fsType(mountFd) === FS_MAGIC.PROC) return;
  if (bindableProcFiles.includes(place)) return;
  throw failure("invalid-argument", `mount ${destination}: only procfs may be mounted at ${place}`);
}

/** Refuses a file system whose place must not be a symlink in the image (CVE-2019-19921). */
export function guardExactPlace(root: NewRoot, target: number, destination: string): void {
  const place = resolvedPath(root, target);
  const [clean] = string.gsub(destination, "/+$", "");
  if (place !== clean)
    throw failure("invalid-argument", `mount ${destination}: it is a symlink to ${place} in the image`);
}
