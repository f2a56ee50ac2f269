import * as ffi from "ffi";
import { errnos, failErrno, libc } from "./libc.ts";
import { matches } from "./patterns.ts";

/**
 * Attributes a layer may set. Overlay's own and ours would redirect or hide other layers' files, labels of security modules
 * belong to the host; such are left out and counted.
 */
export function isAllowed(name: string): boolean {
  if (name === "security.capability") return true;
  if (matches(name, "^user%.overlay%.")) return false;
  if (matches(name, "^trusted%.overlay%.") || matches(name, "^trusted%.berth%.")) return false;
  for (const prefix of ["^user%.", "^trusted%.", "^system%.posix_acl_"]) {
    if (matches(name, prefix)) return true;
  }
  return false;
}

/** Sets the attributes of a path, not following a symbolic link; returns how many were left out. */
export function applyXattrs(path: string, xattrs: Record<string, string>): number {
  let skipped = 0;
  for (const [name, value] of pairs(xattrs)) {
    if (!isAllowed(name)) skipped += 1;
    else if (libc.lsetxattr(path, name, value, value.length, 0) !== 0) {
      if (ffi.errno() !== errnos.enotsup) failErrno(`set attribute ${name} of ${path}`);
      skipped += 1;
    }
  }
  return skipped;
}
