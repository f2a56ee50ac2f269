import { AT, MOUNT_ATTR, OPEN_TREE_CLONE } from "../ffi/constants.ts";
import { E, errno, sysError } from "../ffi/error.ts";
import { close, openat } from "../ffi/files.ts";
import { O } from "../ffi/constants.ts";
import { C } from "../ffi/libc.ts";
import { mountSetattr, moveMount, openTree } from "../ffi/mounts.ts";
import type { Hierarchies, Hierarchy } from "../cgroup/index.ts";
import { folderOf, isPureV2 } from "../cgroup/index.ts";
import { mountFilesystem } from "./filesystems.ts";
import type { MountOptions } from "./options.ts";
import { parseMountOptions } from "./options.ts";

/** What a `cgroup` mount shows. */
export interface CgroupView {
  readonly hierarchies: Hierarchies;
  /** The container's cgroup. */
  readonly path: string;
  /** In a cgroup namespace a fresh mount is rooted at the container's cgroup; else that folder is bound. */
  readonly namespaced: boolean;
}

const folderMode = 0o755;
const tmpfsData: readonly string[] = ["mode=755", "size=1m"];

/** Mounts the cgroup file systems at an open target, which is `destination` in messages. */
export function mountCgroups(
  view: CgroupView,
  target: number,
  options: MountOptions,
  destination: string,
): void {
  const unified = view.hierarchies[0];
  if (isPureV2(view.hierarchies) && unified !== undefined) {
    attach(hierarchyMount(view, unified, options, destination), target, options, destination);
    return;
  }
  const shelf = mountFilesystem("tmpfs", "tmpfs", shelfOptions(options), destination);
  moveMount(shelf, target, destination);
  for (const hierarchy of view.hierarchies) mountBelow(view, hierarchy, shelf, options, destination);
  if ((options.set & MOUNT_ATTR.RDONLY) !== 0) {
    mountSetattr(shelf, 0, { set: MOUNT_ATTR.RDONLY }, destination);
  }
  close(shelf);
}

/** On v1 and the hybrid the hierarchies stand side by side in a tmpfs. */
function mountBelow(
  view: CgroupView,
  hierarchy: Hierarchy,
  shelf: number,
  options: MountOptions,
  destination: string,
): void {
  const [name = ""] = string.match(hierarchy.mountPoint, "([^/]+)$");
  if (C.mkdirat(shelf, name, folderMode) < 0) throw sysError("mkdir", `${destination}/${name}`);
  const place = openat(shelf, name, O.PATH | O.DIRECTORY);
  attach(hierarchyMount(view, hierarchy, options, destination), place, options, `${destination}/${name}`);
  close(place);
  if (hierarchy.controllers.length < 2) return;
  for (const controller of hierarchy.controllers) {
    if (C.symlinkat(name, shelf, controller) < 0 && errno() !== E.EXIST) {
      throw sysError("symlink", `${destination}/${controller}`);
    }
  }
}

function hierarchyMount(
  view: CgroupView,
  hierarchy: Hierarchy,
  options: MountOptions,
  destination: string,
): number {
  if (!view.namespaced) return openTree(AT.FDCWD, folderOf(hierarchy, view.path), OPEN_TREE_CLONE);
  // What the spec's mount gives to the file system is for cgroup2 (`nsdelegate`...).
  if (hierarchy.version === 2) return mountFilesystem("cgroup2", "cgroup", plain(options.data), destination);
  const named = string.find(hierarchy.controllers[0] ?? "", "name=", 1, true)[0] !== undefined;
  return mountFilesystem(
    "cgroup",
    "cgroup",
    plain(named ? ["none", ...hierarchy.controllers] : hierarchy.controllers),
    destination,
  );
}

function attach(mount: number, target: number, options: MountOptions, destination: string): void {
  mountSetattr(mount, 0, { set: options.set, clear: options.clear }, destination);
  moveMount(mount, target, destination);
  close(mount);
}

function plain(data: readonly string[]): MountOptions {
  const options = parseMountOptions([], "");
  options.data.push(...data);
  return options;
}

function shelfOptions(options: MountOptions): MountOptions {
  const shelf = plain(tmpfsData);
  shelf.set = options.set & ~MOUNT_ATTR.RDONLY;
  shelf.clear = options.clear;
  return shelf;
}
