import { posix } from "node:path";
import type { ContainerMount } from "../core/container.ts";
import { RuntimeError } from "../core/errors.ts";
import type { SpecMount } from "../core/oci-runtime-spec.ts";
import { specIdMappings } from "./namespaces.ts";

/** The runtime's own mounts, before the request's are laid over them. */
export interface DefaultMountRequest {
  readonly privileged: boolean;
  /** Host network in a user namespace: sysfs of a foreign network namespace cannot be mounted, only bound. */
  readonly bindSys: boolean;
  /** Options of the host's cgroup2 mount that a second mount of the same instance would otherwise reset. */
  readonly cgroupOptions: readonly string[];
}

/** Mounts of a container that asks for none, parents first. */
export function defaultMounts(request: DefaultMountRequest): readonly SpecMount[] {
  const access = request.privileged ? "rw" : "ro";
  const sealed = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: sealed },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: sealed },
    request.bindSys
      ? { destination: "/sys", type: "bind", source: "/sys", options: ["rbind", "rro", ...sealed] }
      : { destination: "/sys", type: "sysfs", source: "sysfs", options: [...sealed, access] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [...sealed, "relatime", access, ...request.cgroupOptions],
    },
  ];
}

/** Files of the pod on the host that every container sees, and its /dev/shm; absent is not mounted. */
export interface PodFiles {
  readonly hosts?: string;
  readonly hostname?: string;
  readonly resolvConf?: string;
  /** The pod's tmpfs, or the host's /dev/shm where the pod uses the node's IPC namespace. */
  readonly shm?: string;
}

/** What a container's mounts are put together from. */
export interface MountRequest {
  readonly defaults: readonly SpecMount[];
  readonly files: PodFiles;
  readonly readonlyRootfs: boolean;
  readonly mounts: readonly ContainerMount[];
  /** Ids of the images that volumes show. */
  readonly imageIds: ReadonlyMap<ContainerMount, string>;
  /** The pod's, through which its images are seen where their mount says nothing else. */
  readonly idMappings?: Pick<SpecMount, "uidMappings" | "gidMappings">;
}

/** A container's mounts and what they need of its root. */
export interface MountPlan {
  readonly mounts: readonly SpecMount[];
  /** `shared` where a mount is Bidirectional, `slave` where one is HostToContainer. */
  readonly rootfsPropagation?: "shared" | "slave";
}

/**
 * Defaults, the pod's files and the request's mounts, parents before what lies in them. A request's mount takes the place
 * of a default or of a pod's file at the same cleaned path, and one at /dev of all defaults below it.
 */
export function planMounts(request: MountRequest): MountPlan {
  const asked = request.mounts.map((mount) =>
    mount.image === undefined ? hostMount(mount) : imageMount(mount, request),
  );
  const taken = new Set(asked.map(({ destination }) => destination));
  const isFree = ({ destination }: SpecMount): boolean =>
    !taken.has(destination) && !(taken.has("/dev") && destination.startsWith("/dev/"));
  const own = [...request.defaults, ...fileMounts(request)].filter(isFree);
  const ordered = asked.toSorted((a, b) => depth(a) - depth(b));
  const propagation = rootfsPropagation(request.mounts);
  return {
    mounts: [...own, ...ordered],
    ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
  };
}

/** A path of the container as this project compares them: absolute, without `.`, `..` and doubled slashes. */
export function cleanContainerPath(path: string): string {
  return posix.resolve("/", path);
}

function fileMounts(request: MountRequest): readonly SpecMount[] {
  const { files } = request;
  const access = request.readonlyRootfs ? "ro" : "rw";
  const options = ["rbind", "rprivate", access];
  return [
    { destination: "/etc/hostname", source: files.hostname, options },
    { destination: "/etc/hosts", source: files.hosts, options },
    { destination: "/etc/resolv.conf", source: files.resolvConf, options },
    {
      destination: "/dev/shm",
      source: files.shm,
      options: ["rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"],
    },
  ].flatMap(({ destination, source, options }) =>
    source === undefined ? [] : [{ destination, type: "bind", source, options }],
  );
}

function hostMount(mount: ContainerMount): SpecMount {
  const destination = destinationOf(mount);
  // Not cleaned: across a symlink, `..` of the host's path means something else.
  if (!posix.isAbsolute(mount.hostPath) || mount.hostPath.includes("\0")) {
    throw new RuntimeError(
      "invalid-argument",
      `mounts: host_path ${JSON.stringify(mount.hostPath)} of ${mount.containerPath} is not absolute`,
    );
  }
  return {
    destination,
    type: "bind",
    source: mount.hostPath,
    options: ["rbind", propagationOptions[mount.propagation], accessOf(mount)],
    ...mappingsOf(mount),
  };
}

/** A mount that shows an image: the shim finds its layers by destination and source. */
function imageMount(mount: ContainerMount, { imageIds, idMappings }: MountRequest): SpecMount {
  const destination = destinationOf(mount);
  const id = imageIds.get(mount);
  if (id === undefined) {
    // The kubelet knows this error by the first word of its text (cri-api pkg/errors).
    throw new RuntimeError(
      "not-found",
      `ImageVolumeMountFailed: mount ${destination}: image ${mount.image ?? ""} is not in the store`,
    );
  }
  return {
    destination,
    type: "image",
    source: imageMountSource(id, mount.imageSubPath),
    options: ["ro", "nosuid", "nodev"],
    ...idMappings,
    ...mappingsOf(mount),
  };
}

/** What a spec's mount of an image has as its source, for people and to tell two at one place apart. */
export function imageMountSource(imageId: string, subPath: string): string {
  return subPath === "" ? imageId : `${imageId}/${subPath}`;
}

function destinationOf({ containerPath }: ContainerMount): string {
  const destination = cleanContainerPath(containerPath);
  if (containerPath !== "" && !containerPath.includes("\0") && destination !== "/") return destination;
  throw new RuntimeError(
    "invalid-argument",
    `mounts: ${JSON.stringify(containerPath)} is not a place for a mount`,
  );
}

function mappingsOf(mount: ContainerMount): Pick<SpecMount, "uidMappings" | "gidMappings"> {
  return {
    ...(mount.uidMappings.length === 0 ? {} : { uidMappings: specIdMappings(mount.uidMappings) }),
    ...(mount.gidMappings.length === 0 ? {} : { gidMappings: specIdMappings(mount.gidMappings) }),
  };
}

const propagationOptions = {
  private: "rprivate",
  "host-to-container": "rslave",
  bidirectional: "rshared",
} as const;

function accessOf(mount: ContainerMount): "rw" | "ro" | "rro" {
  if (!mount.recursiveReadOnly) return mount.readonly ? "ro" : "rw";
  // KEP-3857; the kubelet knows this error by the first word of its text (cri-api pkg/errors).
  const fault = !mount.readonly
    ? "it is not readonly"
    : mount.propagation === "private"
      ? undefined
      : `its propagation is ${mount.propagation}`;
  if (fault === undefined) return "rro";
  throw new RuntimeError(
    "invalid-argument",
    `RROUnsupported: recursive read-only mount at ${mount.containerPath}: ${fault}`,
  );
}

function rootfsPropagation(mounts: readonly ContainerMount[]): "shared" | "slave" | undefined {
  const asked = new Set(mounts.map(({ propagation }) => propagation));
  if (asked.has("bidirectional")) return "shared";
  return asked.has("host-to-container") ? "slave" : undefined;
}

function depth(mount: SpecMount): number {
  return mount.destination.split("/").length;
}
