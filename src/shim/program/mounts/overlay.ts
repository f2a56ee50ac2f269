import type { SpecIdMapping } from "../../../core/oci-runtime-spec.ts";
import type { RootfsSource } from "../../protocol/messages.ts";
import { AT, MS, O, OPEN_TREE_CLONE } from "../ffi/constants.ts";
import { failure, sysError } from "../ffi/error.ts";
import { close, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { fsconfig, fsmount, fsopen, mount, mountSetattr, openTree } from "../ffi/mounts.ts";
import { detachedElsewhere } from "./elsewhere.ts";
import type { IdMaps } from "./userns.ts";
import { mapIds } from "./userns.ts";

/** Layers in one tree: read-only where nothing is said of a writable one, and then at least two. */
export interface Overlay {
  readonly layersDir: string;
  readonly lowers: readonly string[];
  readonly lowerdirPlus: boolean;
  readonly writable?: { readonly upper: string; readonly work: string; readonly volatile: boolean };
}

/** fsconfig(2) takes strings of 255 bytes. */
const maxConfigBytes = 255;
/** mount(2) takes one page of options. */
const maxMountDataBytes = 4095;

/**
 * The container's root as a detached, private mount. With id mappings the layers are seen through them, so that files
 * of an image's root belong to the root of the user namespace; nothing in a layer is changed.
 */
export function detachRootfs(rootfs: RootfsSource, scratch: string, label: string, maps?: IdMaps): number {
  const fd =
    rootfs.kind === "overlay"
      ? detachOverlay({ ...rootfs, writable: rootfs }, scratch, label, maps)
      : rootfs.kind === "copy"
        ? detachCopy(rootfs.path, label, maps)
        : openTree(AT.FDCWD, rootfs.path, OPEN_TREE_CLONE | AT.RECURSIVE);
  mountSetattr(fd, AT.RECURSIVE, { propagation: MS.PRIVATE }, "rootfs");
  return fd;
}

/** Owners are those of the image, as in a layer; a label is an option of mounts of a file system, which this is none of. */
function detachCopy(path: string, label: string, maps: IdMaps | undefined): number {
  if (label !== "") {
    throw failure(
      "failed-precondition",
      `rootfs: SELinux label ${label} needs overlay: a copy cannot show it`,
    );
  }
  const fd = openTree(AT.FDCWD, path, OPEN_TREE_CLONE);
  if (maps !== undefined) mapIds(fd, maps, 0, path);
  return fd;
}

/** An overlay as a detached mount; `scratch` is a folder to mount it over on kernels before 6.8. */
export function detachOverlay(overlay: Overlay, scratch: string, label: string, maps?: IdMaps): number {
  return overlay.lowerdirPlus
    ? configuredOverlay(overlay, label, maps)
    : classicOverlay(overlay, scratch, label, maps);
}

/** Through fsopen(2): no limit on the number of layers but the kernel's own (500). */
function configuredOverlay(overlay: Overlay, label: string, maps: IdMaps | undefined): number {
  const { writable } = overlay;
  const fs = fsopen("overlay");
  const held: number[] = [];
  // Names are looked up from the working folder, which keeps each string short.
  if (maps === undefined) enter(overlay.layersDir);
  else held.push(enterMapped(overlay, maps));
  const [ok, result] = pcall(() => {
    set(fs, "source", "overlay");
    for (const lower of overlay.lowers) set(fs, "lowerdir+", lower);
    if (writable !== undefined) {
      set(fs, "upperdir", short(writable.upper, held));
      set(fs, "workdir", short(writable.work, held));
      if (writable.volatile) set(fs, "volatile");
    }
    set(fs, "index", "off");
    if (label !== "") set(fs, "context", label);
    return fsmount(fs, 0, `overlay ${writable?.upper ?? overlay.layersDir}`);
  });
  for (const fd of held) close(fd);
  close(fs);
  C.chdir("/");
  if (!ok) throw result;
  return result;
}

/**
 * Through mount(2), for kernels before 6.8: in a mount namespace of a child's own, which hands the mount back
 * detached. Options fit one page because names are relative to the layers' folder.
 */
function classicOverlay(overlay: Overlay, scratch: string, label: string, maps: IdMaps | undefined): number {
  if (maps !== undefined) {
    throw failure("failed-precondition", "overlay: a user namespace needs overlay's lowerdir+ (Linux 6.8)");
  }
  return detachedElsewhere(() => {
    enter(overlay.layersDir);
    mount("overlay", scratch, "overlay", 0, classicOptions(overlay, label));
    return openTree(AT.FDCWD, scratch, OPEN_TREE_CLONE);
  });
}

function classicOptions({ lowers, writable }: Overlay, label: string): string {
  const options =
    `lowerdir=${lowers.join(":")},index=off` +
    (writable === undefined ? "" : `,upperdir=${writable.upper},workdir=${writable.work}`) +
    (writable?.volatile === true ? ",volatile" : "") +
    // Quoted, since a label's categories have commas.
    (label === "" ? "" : `,context="${label}"`);
  if (options.length > maxMountDataBytes) {
    throw failure(
      "resource-exhausted",
      `overlay: ${lowers.length} layers need ${options.length} bytes of mount options, the kernel takes ${maxMountDataBytes}`,
    );
  }
  return options;
}

function set(fs: number, key: string, value?: string): void {
  if (!fsconfig(fs, key, value))
    throw sysError("fsconfig overlay", value === undefined ? key : `${key}=${value}`);
}

/** A path that fits fsconfig's limit: itself, or by way of a descriptor. */
function short(path: string, held: number[]): string {
  if (path.length <= maxConfigBytes) return path;
  const fd = open(path, O.PATH | O.DIRECTORY);
  held.push(fd);
  return `/proc/self/fd/${fd}`;
}

/** Makes an id-mapped copy of the layers' mount the working folder; the writable layer goes to the mapped root. */
function enterMapped({ layersDir, writable }: Overlay, maps: IdMaps): number {
  const layers = openTree(AT.FDCWD, layersDir, OPEN_TREE_CLONE);
  mapIds(layers, maps, 0, layersDir);
  if (C.fchdir(layers) < 0) throw sysError("fchdir", layersDir);
  if (writable === undefined) return layers;
  // It is empty: nothing but the folder that becomes / changes hands.
  if (C.fchownat(AT.FDCWD, writable.upper, rootOf(maps.uids), rootOf(maps.gids), 0) < 0) {
    throw sysError("chown", writable.upper);
  }
  return layers;
}

/** The id outside that 0 inside stands for. */
function rootOf(mappings: readonly SpecIdMapping[]): number {
  for (const { containerID, hostID } of mappings) if (containerID === 0) return hostID;
  throw failure("invalid-argument", "linux.uidMappings, linux.gidMappings: id 0 is not mapped");
}

function enter(folder: string): void {
  if (C.chdir(folder) < 0) throw sysError("chdir", folder);
}
