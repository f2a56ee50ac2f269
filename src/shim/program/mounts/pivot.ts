import type { SpecLinux } from "../../../core/oci-runtime-spec.ts";
import { AT, MNT_DETACH, MS, O } from "../ffi/constants.ts";
import { sysError } from "../ffi/error.ts";
import { close, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { mount, mountSetattr, moveMount, pivotRoot } from "../ffi/mounts.ts";
import type { NewRoot } from "./targets.ts";

/** The folder that the root is attached over: opened before the user changes, for it is closed to all but root. */
export function openPlace(bundle: string): number {
  return open(bundle, O.PATH | O.DIRECTORY);
}

/**
 * Attaches the detached root over the bundle's folder, in a mount namespace that from here on only receives what is
 * mounted on the host (`slave`), and sends nothing back.
 */
export function attachRoot(rootfs: number, place: number, bundle: string): NewRoot {
  mount(undefined, "/", undefined, MS.REC | MS.SLAVE);
  moveMount(rootfs, place, bundle);
  close(place);
  if (C.fchdir(rootfs) < 0) throw sysError("chdir", bundle);
  return { fd: rootfs, path: bundle };
}

/** Makes the new root `/` and lets go of the old one. The working folder is the new root before and after. */
export function enterRoot(root: NewRoot, propagation: SpecLinux["rootfsPropagation"]): void {
  if (C.fchdir(root.fd) < 0) throw sysError("chdir", root.path);
  pivotRoot(".", ".");
  // The old root lies over the new one at "/"; "." is still the new one's parent in the stack.
  if (C.umount2(".", MNT_DETACH) < 0) throw sysError("umount", "the old root");
  if (C.chdir("/") < 0) throw sysError("chdir", "/");
  if (propagation === "shared" || propagation === "rshared") {
    mountSetattr(root.fd, AT.RECURSIVE, { propagation: MS.SHARED }, "/");
  }
  if (propagation === "unbindable" || propagation === "runbindable") {
    mountSetattr(root.fd, 0, { propagation: MS.UNBINDABLE }, "/");
  }
}
