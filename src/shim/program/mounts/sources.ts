import type { SpecMount } from "../../../core/oci-runtime-spec.ts";
import { AT, MS, OPEN_TREE_CLONE, S } from "../ffi/constants.ts";
import type { Failure } from "../ffi/error.ts";
import { failure, prefixed } from "../ffi/error.ts";
import { fstat, isType, mkdir } from "../ffi/files.ts";
import { mountSetattr, openTree } from "../ffi/mounts.ts";
import { mountinfoOf } from "./mountinfo.ts";
import type { MountOptions } from "./options.ts";
import type { IdMaps } from "./userns.ts";
import { mapIds } from "./userns.ts";

const folderMode = 0o755;

/** A bind mount that was cloned from its source and is not attached anywhere yet. */
export interface DetachedMount {
  readonly fd: number;
  readonly isFolder: boolean;
}

/** mkdir -p, for host paths that other runtimes make as well. */
export function makeSource(path: string): void {
  for (const [end] of string.gmatch(path, "()/")) {
    const parent = string.sub(path, 1, (end as unknown as number) - 1);
    if (parent !== "") mkdir(parent, folderMode);
  }
  mkdir(path, folderMode);
}

/**
 * Clones a bind mount's source as a detached mount, with its attributes and propagation. Runs in the host's mount
 * namespace, so that whatever the container does to its own tree has no say in what is bound.
 */
export function detachSource(mount: SpecMount, options: MountOptions): DetachedMount {
  const { source = "" } = mount;
  if (options.data.length > 0) {
    throw failure(
      "invalid-argument",
      `mount ${mount.destination}: option ${options.data[0]}: unknown for a bind`,
    );
  }
  requirePropagation(mount, options.propagation);
  const recursive = options.recursive ? AT.RECURSIVE : 0;
  try {
    const fd = openTree(AT.FDCWD, source, OPEN_TREE_CLONE | recursive);
    applyOptions(fd, options, mount);
    return { fd, isFolder: isType(fstat(fd), S.IFDIR) };
  } catch (thrown) {
    throw prefixed(`mount ${mount.destination}`, thrown);
  }
}

function applyOptions(fd: number, options: MountOptions, mount: SpecMount): void {
  const { source = "" } = mount;
  const maps = idMapsOf(mount);
  if (maps !== undefined) mapIds(fd, maps, options.idmap === "recursive" ? AT.RECURSIVE : 0, source);
  else if (options.idmap !== "no") throw needsMappings(mount.destination);
  if (options.recursiveSet !== 0 || options.recursiveClear !== 0) {
    const change = { set: options.recursiveSet, clear: options.recursiveClear };
    mountSetattr(fd, AT.RECURSIVE, change, source);
  }
  if (options.set !== 0 || options.clear !== 0) {
    mountSetattr(fd, 0, { set: options.set, clear: options.clear }, source);
  }
  setPropagation(fd, options, source);
}

/** A bind without a word on propagation is private: nothing that is mounted later crosses. */
function setPropagation(fd: number, options: MountOptions, source: string): void {
  const { propagation } = options;
  if (propagation === 0) {
    mountSetattr(fd, AT.RECURSIVE, { propagation: MS.PRIVATE }, source);
    return;
  }
  // The clone of a shared mount is its peer already.
  if (propagation === MS.SHARED) return;
  mountSetattr(fd, options.propagationRecursive ? AT.RECURSIVE : 0, { propagation }, source);
}

/** The id mappings of a mount: of users and of groups, or none at all. */
export function idMapsOf({ destination, uidMappings = [], gidMappings = [] }: SpecMount): IdMaps | undefined {
  if (uidMappings.length === 0 && gidMappings.length === 0) return undefined;
  if (uidMappings.length > 0 && gidMappings.length > 0) return { uids: uidMappings, gids: gidMappings };
  throw needsMappings(destination);
}

function needsMappings(destination: string): Failure {
  const text = `mount ${destination}: an id-mapped mount needs uidMappings and gidMappings`;
  return failure("invalid-argument", text);
}

/** Bidirectional needs a source on a shared mount, HostToContainer one on a shared or slave mount. */
function requirePropagation(mount: SpecMount, propagation: number): void {
  if (propagation !== MS.SHARED && propagation !== MS.SLAVE) return;
  const { source = "" } = mount;
  const shown = mountinfoOf(source);
  const [point] = string.match(shown, "^%d+ %d+ %S+ %S+ (%S+)");
  const [shared] = string.find(shown, " shared:", 1, true);
  const [slave] = string.find(shown, " master:", 1, true);
  if (shared !== undefined || (propagation === MS.SLAVE && slave !== undefined)) return;
  const wanted = propagation === MS.SHARED ? "shared mount" : "shared or slave mount";
  throw failure(
    "failed-precondition",
    `mount ${mount.destination}: ${source} is mounted on ${point ?? "?"} but it is not a ${wanted}`,
  );
}
