import type { SpecDevice } from "../../../core/oci-runtime-spec.ts";
import { AT, O, OPEN_TREE_CLONE, S } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { close, fstat, isType, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { moveMount, openTree } from "../ffi/mounts.ts";
import type { NewRoot } from "./targets.ts";
import { makeFolder, openTarget } from "./targets.ts";

const everyone = 0o666;

/** What every container has, on a host with or without udev (runtime spec, config-linux.md#default-devices). */
const defaultDevices: readonly SpecDevice[] = [
  { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: everyone },
  { type: "c", path: "/dev/zero", major: 1, minor: 5, fileMode: everyone },
  { type: "c", path: "/dev/full", major: 1, minor: 7, fileMode: everyone },
  { type: "c", path: "/dev/random", major: 1, minor: 8, fileMode: everyone },
  { type: "c", path: "/dev/urandom", major: 1, minor: 9, fileMode: everyone },
  { type: "c", path: "/dev/tty", major: 5, minor: 0, fileMode: everyone },
];

const defaultLinks: readonly (readonly [name: string, target: string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["ptmx", "pts/ptmx"],
];

const fileTypes: Readonly<Record<string, number>> = { c: S.IFCHR, u: S.IFCHR, b: S.IFBLK, p: S.IFIFO };

/** Makes the default nodes and links of a fresh /dev, and the devices of the spec. */
export function makeDevices(root: NewRoot, devices: readonly SpecDevice[]): void {
  const mask = C.umask(0);
  for (const device of defaultDevices) {
    if (!devices.some((one) => one.path === device.path)) makeDevice(root, device);
  }
  for (const device of devices) makeDevice(root, device);
  makeLinks(root);
  C.umask(mask);
}

/** Makes the spec's devices in a /dev that is not fresh, such as the host's own: what is there already stays. */
export function addDevices(root: NewRoot, devices: readonly SpecDevice[]): void {
  const mask = C.umask(0);
  for (const device of devices) makeDevice(root, device);
  C.umask(mask);
}

function makeLinks(root: NewRoot): void {
  const dev = makeFolder(root, "/dev", 0);
  for (const [name, target] of defaultLinks) {
    if (C.symlinkat(target, dev, name) < 0 && errno() !== E.EXIST) throw sysError("symlink", `/dev/${name}`);
  }
  close(dev);
}

function makeDevice(root: NewRoot, device: SpecDevice): void {
  const [parent, name] = string.match(device.path, "^(.*)/([^/]+)$");
  if (parent === undefined || name === undefined)
    throw failure("invalid-argument", `device ${device.path}: no name`);
  const folder = makeFolder(root, parent, 0);
  const type = fileTypes[device.type] as number;
  const { major = 0, minor = 0, fileMode = everyone } = device;
  if (C.mknodat(folder, name, type | fileMode, deviceNumber(major, minor)) === 0) {
    own(folder, name, device);
    close(folder);
    return;
  }
  const number = errno();
  close(folder);
  // Already there with the right numbers: the host's own /dev, or a default that the spec names again.
  if (number === E.EXIST && isDevice(openTarget(root, device.path, "file"), type, major, minor)) return;
  // A user namespace may not make nodes: the host's own is bound there.
  if (number !== E.PERM) throw sysError("mknod", device.path, number);
  bindDevice(root, device, type);
}

function own(folder: number, name: string, device: SpecDevice): void {
  const { uid = 0, gid = 0 } = device;
  if (uid === 0 && gid === 0) return;
  if (C.fchownat(folder, name, uid, gid, AT.SYMLINK_NOFOLLOW) < 0) throw sysError("chown", device.path);
}

function bindDevice(root: NewRoot, device: SpecDevice, type: number): void {
  const { major = 0, minor = 0 } = device;
  const source = open(device.path, O.PATH);
  if (!isDevice(source, type, major, minor)) {
    throw failure("failed-precondition", `device ${device.path}: the host's is not ${major}:${minor}`);
  }
  bindFile(root, source, device.path);
  close(source);
}

/** Binds an open file of this mount namespace over `path` inside the root. */
export function bindFile(root: NewRoot, source: number, path: string): void {
  const tree = openTree(source, "", OPEN_TREE_CLONE | AT.EMPTY_PATH, path);
  const target = openTarget(root, path, "file");
  moveMount(tree, target, path);
  close(tree);
  close(target);
}

/** True where the open file is this very device (CVE-2025-31133: an image may name anything /dev/null). */
export function isDevice(fd: number, type: number, major: number, minor: number): boolean {
  const stat = fstat(fd);
  return isType(stat, type) && stat.rdev_major === major && stat.rdev_minor === minor;
}

/** makedev(3): the encoding of a 64-bit dev_t. */
export function deviceNumber(major: number, minor: number): number {
  return (
    (minor & 0xff) + (major & 0xfff) * 0x100 + (minor & ~0xff) * 0x1000 + Math.floor(major / 0x1000) * 2 ** 44
  );
}
