import { posix } from "node:path";
import { RuntimeError } from "../core/errors.ts";
import type { Spec, SpecDevice, SpecDeviceRule, SpecHooks, SpecMount } from "../core/oci-runtime-spec.ts";
import type { DeviceEdit, Edits, HookEdit, MountEdit } from "./edits.ts";

/** A device node or a pipe of the host, as stat(2) told. */
export interface HostNode {
  readonly type: "b" | "c" | "p";
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
}

/** Nodes of the host by path; a path that is not among them has none. */
export type HostNodes = ReadonlyMap<string, HostNode>;

/** The host's path of each device node, to be looked up before {@link editSpec}. */
export function hostPathsOf(edits: Edits): readonly string[] {
  return edits.devices.map(({ hostPath, path }) => hostPath ?? path);
}

/**
 * A container's spec with the edits made: variables replace those of the same name, mounts and devices those at the same
 * path. Throws `failed-precondition` for what this host or runtime does not have.
 */
export function editSpec(spec: Spec, edits: Edits, nodes: HostNodes): Spec {
  const [unsupported] = edits.unsupported;
  if (unsupported !== undefined) {
    throw new RuntimeError("failed-precondition", `CDI devices: edits of ${unsupported} are not supported`);
  }
  const devices = edits.devices.map((edit) => placeDevice(edit, nodes.get(edit.hostPath ?? edit.path), spec));
  const { process, linux = {} } = spec;
  // In a user namespace no node can be made; the shim binds the host's, which it finds at the device's path alone.
  const bound = edits.devices.filter(
    ({ hostPath, path }) => linux.uidMappings && (hostPath ?? path) !== path,
  );
  return {
    ...spec,
    ...(process === undefined
      ? {}
      : {
          process: {
            ...process,
            env: replaceVariables(process.env ?? [], edits.env),
            user: { ...process.user, additionalGids: addGids(process.user.additionalGids, edits) },
          },
        }),
    mounts: [...bound.map(bindDevice), ...edits.mounts.map((edit) => specMount(edit, linux))].reduce(
      putMount,
      spec.mounts ?? [],
    ),
    ...(edits.hooks.length === 0 ? {} : { hooks: addHooks(spec.hooks, edits.hooks) }),
    linux: {
      ...linux,
      devices: devices
        .filter(({ path }) => !bound.some((edit) => posix.resolve("/", edit.path) === path))
        .reduce(putDevice, linux.devices ?? []),
      resources: {
        ...linux.resources,
        devices: [
          ...(linux.resources?.devices ?? []),
          ...edits.devices.flatMap(({ permissions }, index) => deviceRule(devices[index], permissions)),
        ],
      },
    },
  };
}

function replaceVariables(before: readonly string[], edits: readonly string[]): readonly string[] {
  const values = new Map([...before, ...edits].map((entry) => [entry.slice(0, entry.indexOf("=")), entry]));
  return [...values.values()];
}

function addGids(before: readonly number[] = [], { additionalGids }: Edits): readonly number[] {
  return [...new Set([...before, ...additionalGids])];
}

/** What is not said of a device is taken from the host's node; one that is described in full needs none there. */
function placeDevice(edit: DeviceEdit, found: HostNode | undefined, { process }: Spec): SpecDevice {
  const hostPath = edit.hostPath ?? edit.path;
  const {
    type = found?.type,
    fileMode = found?.fileMode,
    uid = process?.user.uid,
    gid = process?.user.gid,
  } = edit;
  const isDescribed = edit.type !== undefined && ((edit.major ?? 0) !== 0 || edit.type === "p");
  if (type === undefined || (!isDescribed && found === undefined)) {
    throw new RuntimeError("failed-precondition", `CDI devices: no device node at ${hostPath}`);
  }
  if (!isDescribed && (type === "u" ? "c" : type) !== found?.type) {
    const text = `CDI devices: the node at ${hostPath} is of type ${found?.type ?? "?"}, not ${type}`;
    throw new RuntimeError("failed-precondition", text);
  }
  const numbers =
    type === "p"
      ? {}
      : (edit.major ?? 0) !== 0
        ? { major: edit.major ?? 0, minor: edit.minor ?? 0 }
        : { major: found?.major ?? 0, minor: found?.minor ?? 0 };
  return {
    path: posix.resolve("/", edit.path),
    type,
    ...numbers,
    ...(fileMode === undefined ? {} : { fileMode }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
}

function putDevice(devices: readonly SpecDevice[], device: SpecDevice): readonly SpecDevice[] {
  return [...devices.filter(({ path }) => path !== device.path), device];
}

function deviceRule(device: SpecDevice | undefined, access: string): readonly SpecDeviceRule[] {
  if (device === undefined || device.type === "p" || access === "") return [];
  const { type, major = 0, minor = 0 } = device;
  return [{ allow: true, type: type === "b" ? "b" : "c", major, minor, access }];
}

function bindDevice({ path, hostPath = path }: DeviceEdit): SpecMount {
  const options = ["bind", "rprivate", "nosuid", "noexec"];
  return { destination: posix.resolve("/", path), type: "bind", source: hostPath, options };
}

/** Bound where nothing else is said. In a user namespace what is bound is seen through its mappings, as volumes are. */
function specMount(edit: MountEdit, { uidMappings, gidMappings }: NonNullable<Spec["linux"]>): SpecMount {
  const named = edit.options.some((word) => word === "bind" || word === "rbind");
  const options = named || edit.type !== undefined ? edit.options : [...edit.options, "rbind"];
  const isBind = options.some((word) => word === "bind" || word === "rbind");
  return {
    destination: posix.resolve("/", edit.containerPath),
    type: isBind ? "bind" : (edit.type ?? "bind"),
    source: edit.hostPath,
    options,
    ...(isBind && uidMappings !== undefined ? { uidMappings } : {}),
    ...(isBind && gidMappings !== undefined ? { gidMappings } : {}),
  };
}

/** In front of what is mounted below it, else last. */
function putMount(before: readonly SpecMount[], mount: SpecMount): readonly SpecMount[] {
  const others = before.filter(({ destination }) => destination !== mount.destination);
  const below = others.findIndex(({ destination }) => destination.startsWith(`${mount.destination}/`));
  return below < 0 ? [...others, mount] : others.toSpliced(below, 0, mount);
}

function addHooks(before: SpecHooks = {}, edits: readonly HookEdit[]): SpecHooks {
  return edits.reduce(
    (hooks, { when, hook }) => ({ ...hooks, [when]: [...(hooks[when] ?? []), hook] }),
    before,
  );
}
