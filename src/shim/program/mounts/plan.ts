import type { SpecMount } from "../../../core/oci-runtime-spec.ts";
import type { CreateRequest } from "../../protocol/messages.ts";
import { O, S } from "../ffi/constants.ts";
import { failure, prefixed } from "../ffi/error.ts";
import { close, fstat, isType, openat } from "../ffi/files.ts";
import { moveMount } from "../ffi/mounts.ts";
import type { CgroupView } from "./cgroup-mount.ts";
import { mountCgroups } from "./cgroup-mount.ts";
import { copyUp } from "./copy-up.ts";
import { mountFilesystem } from "./filesystems.ts";
import { detachImage, imageMountType } from "./image-volume.ts";
import type { MountOptions } from "./options.ts";
import { parseMountOptions } from "./options.ts";
import { relabel } from "./relabel.ts";
import type { DetachedMount } from "./sources.ts";
import { detachSource, makeSource } from "./sources.ts";
import type { NewRoot } from "./targets.ts";
import { guardExactPlace, guardProc, openInRoot, openTarget } from "./targets.ts";

/** A mount of the spec with its options read, and its source cloned where it is a bind. */
export interface PlannedMount {
  readonly mount: SpecMount;
  readonly options: MountOptions;
  readonly detached?: DetachedMount;
}

/** File systems whose place must be no symlink: what processes trust to be the kernel's word. */
const exactPlaces: Readonly<Record<string, true>> = { proc: true, sysfs: true };

const permissionBits = 0xfff;

/** File systems that take the SELinux context of the spec's `linux.mountLabel`. */
const labelled: Readonly<Record<string, true>> = { tmpfs: true, devpts: true, mqueue: true, ramfs: true };

/** Reads all options first, then clones the bind sources and images: on the host, before the container exists. */
export function planMounts(
  mounts: readonly SpecMount[],
  {
    createSources,
    relabelSources = [],
    imageMounts = [],
    bundle,
  }: Pick<CreateRequest, "createSources" | "relabelSources" | "imageMounts" | "bundle">,
  label: string,
): PlannedMount[] {
  const read = mounts.map((mount) => {
    const options = parseMountOptions(mount.options ?? [], mount.destination);
    if (label !== "" && labelled[mount.type ?? ""] === true) options.data.push(`context=${label}`);
    if (options.copyUp && mount.type !== "tmpfs") {
      throw failure("invalid-argument", `mount ${mount.destination}: option tmpcopyup: only for a tmpfs`);
    }
    return { mount, options };
  });
  for (const source of createSources) makeSource(source);
  if (label !== "") for (const source of relabelSources) relabel(source, label);
  return read.map((one) => {
    const { mount, options } = one;
    if (mount.type === imageMountType) {
      return { ...one, detached: detachImage(mount, options, imageMounts, bundle, label) };
    }
    return isBind(mount, options) ? { ...one, detached: detachSource(mount, options) } : one;
  });
}

/** True where /dev is the container's own, so that its nodes have to be made. */
export function hasFreshDev(mounts: readonly PlannedMount[]): boolean {
  return mounts.some((one) => one.mount.destination === "/dev" && one.detached === undefined);
}

/** Attaches one mount inside the new root. */
export function attachMount(root: NewRoot, planned: PlannedMount, cgroups: CgroupView): void {
  const { mount, options, detached } = planned;
  const kind = detached === undefined || detached.isFolder ? "folder" : "file";
  try {
    const existing = openInRoot(root, mount.destination);
    if (existing !== undefined && mount.type === "tmpfs" && detached === undefined)
      keepMode(existing, options);
    const target = existing ?? openTarget(root, mount.destination, kind);
    guardKind(target, kind, mount.destination);
    if (exactPlaces[mount.type ?? ""] === true) guardExactPlace(root, target, mount.destination);
    if (mount.type === "cgroup" && detached === undefined) {
      mountCgroups(cgroups, target, options, mount.destination);
    } else {
      const fd = detached?.fd ?? mountFilesystem(mount.type ?? "", mount.source, options, mount.destination);
      guardProc(root, target, fd, mount.destination);
      if (options.copyUp && existing !== undefined) fill(fd, mount, existing);
      moveMount(fd, target, mount.destination);
      close(fd);
    }
    close(target);
  } catch (thrown) {
    throw prefixed("rootfs", thrown);
  }
}

/** A tmpfs without a word on its mode has that of the folder it covers, as /tmp of an image is open to all. */
function keepMode(target: number, options: MountOptions): void {
  if (options.data.some((word) => word.startsWith("mode="))) return;
  options.data.push(`mode=${string.format("%o", fstat(target).mode & permissionBits)}`);
}

/** Copies what is at a tmpfs's place into it. */
function fill(tmpfs: number, { destination }: SpecMount, place: number): void {
  const source = openat(place, ".", O.RDONLY | O.DIRECTORY);
  const target = openat(tmpfs, ".", O.RDONLY | O.DIRECTORY);
  try {
    copyUp(source, target);
  } catch (thrown) {
    throw prefixed(`mount ${destination}: tmpcopyup`, thrown);
  } finally {
    close(source);
    close(target);
  }
}

/** The kernel says no more than EINVAL where a file is to cover a folder or the other way round. */
function guardKind(target: number, kind: "folder" | "file", destination: string): void {
  const isFolder = isType(fstat(target), S.IFDIR);
  if (isFolder === (kind === "folder")) return;
  const why = isFolder
    ? "its source is a file, the place a directory"
    : "its source is a directory, the place a file";
  throw failure("invalid-argument", `mount ${destination}: ${why}`);
}

function isBind(mount: SpecMount, options: MountOptions): boolean {
  return options.bind || mount.type === "bind" || mount.type === "rbind";
}
