import { commonNr, nr } from "./arch.ts";
import {
  AT,
  FSCONFIG,
  MNT_DETACH,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  UMOUNT_NOFOLLOW,
} from "./constants.ts";
import { E, errno, sysError } from "./error.ts";
import { C } from "./libc.ts";
import { sizeOf } from "./memory.ts";
import type { MountAttr } from "./structs.ts";
import { struct } from "./structs.ts";

const cloexec = 0x80000;
const fsCloexec = 1;

/** mount(2). */
export function mount(
  source: string | undefined,
  target: string,
  type: string | undefined,
  flags: number,
  data?: string,
): void {
  if (C.mount(source, target, type, flags, data) < 0) throw sysError("mount", target);
}

/** umount2(2) with MNT_DETACH, never through a symlink; false where nothing is mounted there or nothing exists. */
export function detach(target: string): boolean {
  if (C.umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) === 0) return true;
  const number = errno();
  if (number === E.INVAL || number === E.NOENT) return false;
  throw sysError("umount", target, number);
}

/** open_tree(2). */
export function openTree(dir: number, path: string, flags: number, what = path): number {
  const fd = C.sys_open_tree(commonNr.openTree, dir, path, flags | cloexec);
  if (fd < 0) throw sysError("open_tree", what);
  return fd;
}

/** move_mount(2) of a detached mount onto an open file or folder; `what` names the target in the error. */
export function moveMount(mountFd: number, targetFd: number, what: string): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (C.sys_move_mount(commonNr.moveMount, mountFd, "", targetFd, "", flags) < 0)
    throw sysError("mount", what);
}

/** fsopen(2). */
export function fsopen(type: string): number {
  const fd = C.sys_fsopen(commonNr.fsopen, type, fsCloexec);
  if (fd < 0) throw sysError("fsopen", type);
  return fd;
}

/** fsconfig(2) FSCONFIG_SET_STRING, or FSCONFIG_SET_FLAG without a value; false where the kernel refuses it. */
export function fsconfig(fs: number, key: string, value?: string): boolean {
  const command = value === undefined ? FSCONFIG.SET_FLAG : FSCONFIG.SET_STRING;
  return C.sys_fsconfig(commonNr.fsconfig, fs, command, key, value, 0) === 0;
}

/** FSCONFIG_CMD_CREATE and fsmount(2): a detached mount of what was configured. */
export function fsmount(fs: number, attributes: number, what: string): number {
  if (C.sys_fsconfig(commonNr.fsconfig, fs, FSCONFIG.CMD_CREATE, undefined, undefined, 0) < 0) {
    throw sysError("mount", what);
  }
  const fd = C.sys_fsmount(commonNr.fsmount, fs, fsCloexec, attributes);
  if (fd < 0) throw sysError("fsmount", what);
  return fd;
}

/** What mount_setattr(2) changes. */
export interface MountChange {
  readonly set?: number;
  readonly clear?: number;
  readonly propagation?: number;
  readonly userns?: number;
}

/** mount_setattr(2) on an open mount, with AT_RECURSIVE in `flags` for all below it. */
export function mountSetattr(mountFd: number, flags: number, change: MountChange, what: string): void {
  const attr = struct<MountAttr>("mount_attr");
  attr.attr_set = change.set ?? 0;
  attr.attr_clr = change.clear ?? 0;
  attr.propagation = change.propagation ?? 0;
  attr.userns_fd = change.userns ?? 0;
  const at = flags | AT.EMPTY_PATH;
  if (C.sys_mount_setattr(commonNr.mountSetattr, mountFd, "", at, attr, sizeOf(attr)) < 0) {
    throw sysError("mount_setattr", what);
  }
}

/** pivot_root(2). */
export function pivotRoot(newRoot: string, putOld: string): void {
  if (C.sys_pivot_root(nr.pivotRoot, newRoot, putOld) < 0) throw sysError("pivot_root", newRoot);
}
