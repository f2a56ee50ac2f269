import { closeSync } from "node:fs";
import { checked } from "./call.ts";
import { libc } from "./ffi.ts";

const openTreeFunction = libc.function("syscall", ["i64", "i64", "text", "i64"], "i64");
const mountSetattrFunction = libc.function("syscall", ["i64", "i64", "text", "i64", "bytes", "i64"], "i64");

/** Numbers of calls that are newer than 2019, the same on every architecture. */
const SYS_open_tree = 428;
const SYS_mount_setattr = 442;

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOUNT_ATTR_RDONLY = 0x1n;
const MOUNT_ATTR_IDMAP = 0x0010_0000n;

/** What a copy of a mount tree can be asked to become. */
export type TreeAttributes =
  { readonly kind: "read-only" } | { readonly kind: "idmapped"; readonly userns: number };

/**
 * Tries attributes on a copy of a mount that is attached nowhere, and throws the copy away. Throws SysError where the
 * kernel or the file system refuses. Read-only is tried recursively, as a recursive read-only mount needs it.
 *
 * @see https://man7.org/linux/man-pages/man2/mount_setattr.2.html
 */
export function tryTreeAttributes(path: string, attributes: TreeAttributes): void {
  const recursive = attributes.kind === "read-only" ? AT_RECURSIVE : 0;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
  const tree = checked("open_tree", openTreeFunction(SYS_open_tree, AT_FDCWD, path, flags), path);
  try {
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    const attr = Buffer.alloc(32);
    attr.writeBigUInt64LE(attributes.kind === "read-only" ? MOUNT_ATTR_RDONLY : MOUNT_ATTR_IDMAP, 0);
    if (attributes.kind === "idmapped") attr.writeBigUInt64LE(BigInt(attributes.userns), 24);
    const set = mountSetattrFunction(
      SYS_mount_setattr,
      tree,
      "",
      AT_EMPTY_PATH | recursive,
      attr,
      attr.length,
    );
    checked("mount_setattr", set, path);
  } finally {
    closeSync(tree);
  }
}
