import { AT, MOUNT_ATTR, OPEN_TREE_CLONE } from "../ffi/constants.ts";
import { close } from "../ffi/files.ts";
import { mountSetattr, moveMount, openTree } from "../ffi/mounts.ts";
import type { NewRoot } from "../mounts/targets.ts";
import { guardProc, makeFolder } from "../mounts/targets.ts";

/**
 * Makes the image's VOLUME folders, and binds each onto itself where the root is about to become read-only, so that
 * it stays writable. The paths come from the image: they are resolved inside the root (CVE-2022-23648).
 */
export function makeImageVolumes(root: NewRoot, paths: readonly string[], rootIsReadonly: boolean): void {
  for (const path of paths) {
    const folder = makeFolder(root, path, 0);
    if (rootIsReadonly) {
      const tree = openTree(folder, "", OPEN_TREE_CLONE | AT.EMPTY_PATH, path);
      guardProc(root, folder, tree, path);
      mountSetattr(tree, 0, { clear: MOUNT_ATTR.RDONLY }, path);
      moveMount(tree, folder, path);
      close(tree);
    }
    close(folder);
  }
}
