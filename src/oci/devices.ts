import { posix } from "node:path";
import type { ContainerDevice } from "../core/container.ts";
import { RuntimeError } from "../core/errors.ts";
import type { SpecDevice, SpecDeviceRule } from "../core/oci-runtime-spec.ts";

/** A device node of the host, as stat(2) told. */
export interface DeviceNode {
  readonly hostPath: string;
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A device of the request and what was found there: one node, or all nodes below a folder. */
export interface FoundDevice {
  readonly request: ContainerDevice;
  readonly nodes: readonly DeviceNode[];
}

/** What a container gets: nodes to make and the device cgroup's rules, later ones winning. */
export interface DeviceGrant {
  readonly devices: readonly SpecDevice[];
  readonly rules: readonly SpecDeviceRule[];
}

const denyAll: SpecDeviceRule = { allow: false, access: "rwm" };

/**
 * What runc grants every container besides what is asked for: making any node (using it is another matter), the nodes of
 * the OCI runtime spec's default devices, terminals, and /dev/net/tun, which pods with NET_ADMIN make for themselves.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#default-devices
 */
const defaultRules: readonly SpecDeviceRule[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  { allow: true, type: "c", major: 1, minor: 3, access: "rwm" }, // null
  { allow: true, type: "c", major: 1, minor: 5, access: "rwm" }, // zero
  { allow: true, type: "c", major: 1, minor: 7, access: "rwm" }, // full
  { allow: true, type: "c", major: 1, minor: 8, access: "rwm" }, // random
  { allow: true, type: "c", major: 1, minor: 9, access: "rwm" }, // urandom
  { allow: true, type: "c", major: 5, minor: 0, access: "rwm" }, // tty
  { allow: true, type: "c", major: 5, minor: 1, access: "rwm" }, // console
  { allow: true, type: "c", major: 5, minor: 2, access: "rwm" }, // ptmx
  { allow: true, type: "c", major: 136, access: "rwm" }, // pts/*
  { allow: true, type: "c", major: 10, minor: 200, access: "rwm" }, // net/tun
];

/** Made in every container's /dev by the runtime; the host's own are never put over them. */
const defaultNodes = new Set(
  ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"].map((name) => `/dev/${name}`),
);
const ownFolders = ["/dev/pts/", "/dev/shm/", "/dev/mqueue/", "/dev/fd/"];

/** Nodes and rules of an unprivileged container; a device without nodes or with other permissions than r, w, m is `invalid-argument`. */
export function requestedDevices(found: readonly FoundDevice[]): DeviceGrant {
  const granted = found.flatMap(({ request, nodes }) => {
    const access = checkAccess(request);
    if (nodes.length === 0) {
      throw new RuntimeError("invalid-argument", `devices: no device node at ${request.hostPath}`);
    }
    return nodes.map((node) => ({ device: place(request, node), rule: allow(node, access) }));
  });
  return {
    devices: granted.map(({ device }) => device),
    rules: [denyAll, ...defaultRules, ...granted.map(({ rule }) => rule)],
  };
}

/** Every device of the host at its own path, with the request's on top, and no limit on use: a privileged container. */
export function allDevices(host: readonly DeviceNode[], found: readonly FoundDevice[]): DeviceGrant {
  const requested = requestedDevices(found).devices;
  const taken = new Set(requested.map(({ path }) => path));
  const own = host
    .filter(({ hostPath }) => !defaultNodes.has(hostPath) && !taken.has(hostPath))
    .filter(({ hostPath }) => !ownFolders.some((folder) => hostPath.startsWith(folder)))
    .map((node) => specDevice(node.hostPath, node));
  return { devices: [...own, ...requested], rules: [{ allow: true, access: "rwm" }] };
}

function place(request: ContainerDevice, node: DeviceNode): SpecDevice {
  const target = request.containerPath === "" ? request.hostPath : request.containerPath;
  const below = posix.relative(request.hostPath, node.hostPath);
  // A symlink is given with the path that it leads to; its node still goes where the request says.
  const isBelow = below !== "" && !below.startsWith("..");
  return specDevice(posix.resolve("/", target, isBelow ? below : ""), node);
}

function specDevice(path: string, node: DeviceNode): SpecDevice {
  const { type, major, minor, fileMode, uid, gid } = node;
  return { path, type, major, minor, fileMode, uid, gid };
}

function allow(node: DeviceNode, access: string): SpecDeviceRule {
  return { allow: true, type: node.type, major: node.major, minor: node.minor, access };
}

function checkAccess(request: ContainerDevice): string {
  if (/^[rwm]{1,3}$/.test(request.permissions)) return [...new Set(request.permissions)].join("");
  const written = JSON.stringify(request.permissions);
  throw new RuntimeError(
    "invalid-argument",
    `devices: permissions ${written} of ${request.hostPath} are not of r, w, m`,
  );
}
