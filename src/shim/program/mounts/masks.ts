import { AT, MOUNT_ATTR, O, OPEN_TREE_CLONE, S } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { close, fstat, isType, open } from "../ffi/files.ts";
import { mountSetattr, moveMount, openTree } from "../ffi/mounts.ts";
import { isDevice } from "./devices.ts";
import { emptyFolder } from "./filesystems.ts";
import type { NewRoot } from "./targets.ts";
import { openInRoot } from "./targets.ts";

const nullMajor = 1;
const nullMinor = 3;

/** Covers files with the host's null device and folders with an empty read-only tmpfs; absent ones need no cover. */
export function maskPaths(root: NewRoot, paths: readonly string[]): void {
  if (paths.length === 0) return;
  const nothing = openNull();
  const empty = emptyFolder();
  for (const path of paths) {
    const target = openInRoot(root, path);
    if (target === undefined) continue;
    const cover = isType(fstat(target), S.IFDIR) ? empty : nothing;
    const tree = openTree(cover, "", OPEN_TREE_CLONE | AT.EMPTY_PATH, path);
    moveMount(tree, target, path);
    close(tree);
    close(target);
  }
  close(nothing);
  close(empty);
}

/** The host's null device, checked by its numbers; opened while the host's tree is still in sight. */
function openNull(): number {
  const fd = open("/dev/null", O.PATH | O.NOFOLLOW);
  if (!isDevice(fd, S.IFCHR, nullMajor, nullMinor)) {
    throw failure("failed-precondition", "/dev/null of the host is not the null device");
  }
  return fd;
}

/** Makes paths read-only by a bind onto themselves; absent ones are skipped. */
export function makeReadonly(root: NewRoot, paths: readonly string[]): void {
  for (const path of paths) {
    const target = openInRoot(root, path);
    if (target === undefined) continue;
    const tree = openTree(target, "", OPEN_TREE_CLONE | AT.EMPTY_PATH | AT.RECURSIVE, path);
    mountSetattr(tree, AT.RECURSIVE, { set: MOUNT_ATTR.RDONLY }, path);
    moveMount(tree, target, path);
    close(tree);
    close(target);
  }
}
