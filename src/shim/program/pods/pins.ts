import { MS, O } from "../ffi/constants.ts";
import { E, asFailure, failure, sysError } from "../ffi/error.ts";
import { close, mkdir, open, unlink } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { detach, mount } from "../ffi/mounts.ts";
import type { Undo } from "./undo.ts";

const lockExclusive = 2;
const pinMode = 0o444;
const folderMode = 0o755;
/** Mounts that may lie over each other on one path, after creations that were cut short. */
const maxStackedMounts = 16;

/** Keeps a namespace alive by a bind mount of `fd` at `path`, which must not exist yet. */
export function pin(fd: number, path: string, undo: Undo): void {
  close(createPinFile(path));
  undo.defer(() => {
    unlink(path);
  });
  mount(`/proc/self/fd/${fd}`, path, undefined, MS.BIND);
  undo.defer(() => {
    detach(path);
  });
}

function createPinFile(path: string): number {
  const [ok, fd] = pcall(open, path, O.RDONLY + O.CREAT + O.EXCL + O.NOFOLLOW, pinMode);
  if (ok) return fd;
  const problem = asFailure(fd);
  if (problem.errno !== E.EXIST) throw problem;
  throw failure("failed-precondition", `pin ${path} exists already`);
}

/** Takes the mount and the file away; either may be gone already. */
export function unpin(path: string): void {
  detachAll(path);
  unlink(path);
}

/** Unmounts all that is mounted at `path`. */
export function detachAll(path: string): void {
  for (let depth = 0; depth < maxStackedMounts; depth++) {
    if (!detach(path)) return;
  }
}

/**
 * Makes the folder of the network pins a shared mount, as `ip netns` does, so that agents in mount namespaces of their
 * own see pins come and go. A lock keeps two of these from mounting it twice.
 */
export function shareFolderOf(path: string): void {
  const [folder] = string.match(path, "^(.+)/[^/]+$");
  if (folder === undefined) return;
  mkdir(folder, folderMode);
  const fd = open(folder, O.RDONLY + O.DIRECTORY);
  const [ok, thrown] = pcall(() => {
    if (C.flock(fd, lockExclusive) < 0) throw sysError("flock", folder);
    shareFolder(folder);
  });
  close(fd);
  if (!ok) throw thrown;
}

function shareFolder(folder: string): void {
  const [shared, thrown] = pcall(mount, "none", folder, undefined, MS.SHARED + MS.REC);
  if (shared) return;
  // EINVAL: no mount point yet.
  if (asFailure(thrown).errno !== E.INVAL) throw thrown;
  mount(folder, folder, undefined, MS.BIND + MS.REC);
  mount("none", folder, undefined, MS.SHARED + MS.REC);
}
