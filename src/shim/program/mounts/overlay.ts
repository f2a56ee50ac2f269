import type { SpecIdMapping } from "../../../core/oci-runtime-spec.ts";
import type { RootfsSource } from "../../protocol/messages.ts";
import { AT, CLONE, MOUNT_ATTR, MS, O, OPEN_TREE_CLONE, SOCK } from "../ffi/constants.ts";
import { asFailure, failure, sysError } from "../ffi/error.ts";
import { close, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { fsconfig, fsmount, fsopen, mount, mountSetattr, openTree } from "../ffi/mounts.ts";
import { exit, fork, unshare, waitFor } from "../ffi/processes.ts";
import { receiveWithFds, sendWithFds, socketPair } from "../ffi/sockets.ts";
import { makeUserNamespace } from "./userns.ts";

/** The mappings of the container's user namespace. */
export interface IdMaps {
  readonly uids: readonly SpecIdMapping[];
  readonly gids: readonly SpecIdMapping[];
}

type Overlay = Extract<RootfsSource, { readonly kind: "overlay" }>;

/** fsconfig(2) takes strings of 255 bytes. */
const maxConfigBytes = 255;
/** mount(2) takes one page of options. */
const maxMountDataBytes = 4095;
const maxAnswerBytes = 1024;

/**
 * The container's root as a detached, private mount. With id mappings the layers are seen through them, so that files
 * of an image's root belong to the root of the user namespace; nothing in a layer is changed.
 */
export function detachRootfs(rootfs: RootfsSource, scratch: string, label: string, maps?: IdMaps): number {
  const fd =
    rootfs.kind === "directory"
      ? openTree(AT.FDCWD, rootfs.path, OPEN_TREE_CLONE | AT.RECURSIVE)
      : rootfs.lowerdirPlus
        ? configuredOverlay(rootfs, label, maps)
        : classicOverlay(rootfs, scratch, label, maps);
  mountSetattr(fd, AT.RECURSIVE, { propagation: MS.PRIVATE }, "rootfs");
  return fd;
}

/** Through fsopen(2): no limit on the number of layers but the kernel's own (500). */
function configuredOverlay(rootfs: Overlay, label: string, maps: IdMaps | undefined): number {
  const fs = fsopen("overlay");
  const held: number[] = [];
  // Names are looked up from the working folder, which keeps each string short.
  if (maps === undefined) enter(rootfs.layersDir);
  else held.push(enterMapped(rootfs, maps));
  const [ok, result] = pcall(() => {
    set(fs, "source", "overlay");
    for (const lower of rootfs.lowers) set(fs, "lowerdir+", lower);
    set(fs, "upperdir", short(rootfs.upper, held));
    set(fs, "workdir", short(rootfs.work, held));
    set(fs, "index", "off");
    if (rootfs.volatile) set(fs, "volatile");
    if (label !== "") set(fs, "context", label);
    return fsmount(fs, 0, `overlay ${rootfs.upper}`);
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
function classicOverlay(rootfs: Overlay, scratch: string, label: string, maps: IdMaps | undefined): number {
  if (maps !== undefined) {
    throw failure("failed-precondition", "rootfs: a user namespace needs overlay's lowerdir+ (Linux 6.8)");
  }
  const [ours, theirs] = socketPair(SOCK.SEQPACKET);
  const child = fork();
  if (child === 0) {
    const [ok, result] = pcall(() => {
      unshare(CLONE.NEWNS);
      mount(undefined, "/", undefined, MS.REC | MS.PRIVATE);
      enter(rootfs.layersDir);
      mount("overlay", scratch, "overlay", 0, classicOptions(rootfs, label));
      return openTree(AT.FDCWD, scratch, OPEN_TREE_CLONE);
    });
    if (ok) sendWithFds(theirs, "ok", [result]);
    else sendWithFds(theirs, asFailure(result).message, []);
    exit(0);
  }
  close(theirs);
  const answer = receiveWithFds(ours, maxAnswerBytes);
  close(ours);
  waitFor(child);
  const fd = answer?.fds[0];
  if (fd === undefined) throw failure("internal", `rootfs: ${answer?.text ?? "no answer"}`);
  return fd;
}

function classicOptions(rootfs: Overlay, label: string): string {
  const options =
    `lowerdir=${rootfs.lowers.join(":")},upperdir=${rootfs.upper},workdir=${rootfs.work},index=off` +
    (rootfs.volatile ? ",volatile" : "") +
    // Quoted, since a label's categories have commas.
    (label === "" ? "" : `,context="${label}"`);
  if (options.length > maxMountDataBytes) {
    throw failure(
      "resource-exhausted",
      `rootfs: ${rootfs.lowers.length} layers need ${options.length} bytes of mount options, the kernel takes ${maxMountDataBytes}`,
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
function enterMapped(rootfs: Overlay, { uids, gids }: IdMaps): number {
  const userns = makeUserNamespace(uids, gids);
  const layers = openTree(AT.FDCWD, rootfs.layersDir, OPEN_TREE_CLONE);
  mountSetattr(layers, 0, { set: MOUNT_ATTR.IDMAP, userns }, `idmap ${rootfs.layersDir}`);
  close(userns);
  if (C.fchdir(layers) < 0) throw sysError("fchdir", rootfs.layersDir);
  // It is empty: nothing but the folder that becomes / changes hands.
  if (C.fchownat(AT.FDCWD, rootfs.upper, rootOf(uids), rootOf(gids), 0) < 0) {
    throw sysError("chown", rootfs.upper);
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
