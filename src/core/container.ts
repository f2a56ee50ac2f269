import type { Delivery } from "./delivery.ts";
import type { ContainerId, PodId } from "./ids.ts";
import type { LinuxResources } from "./linux-resources.ts";
import type { IdMapping } from "./namespaces.ts";
import type { ContainerSecurityContext } from "./security.ts";

/** What makes a container unique within its pod. */
export interface ContainerMetadata {
  readonly name: string;
  readonly attempt: number;
}

/** How mounts made later cross between host and container (mount_namespaces(7)). */
export type MountPropagation = "private" | "host-to-container" | "bidirectional";

/** A host path in the container. */
export interface ContainerMount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly recursiveReadOnly: boolean;
  readonly selinuxRelabel: boolean;
  readonly propagation: MountPropagation;
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
  /** An image volume instead of a host path: the image's name or id. */
  readonly image?: string;
  readonly imageSubPath: string;
}

/** A device node of the host in the container; permissions are a subset of `rwm`. */
export interface ContainerDevice {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly permissions: string;
}

/** A container as asked for; only `resources` changes later. */
export interface ContainerConfig {
  readonly metadata: ContainerMetadata;
  /** The image as the request names it: an id, digest or reference. */
  readonly image: string;
  /** The text of the pod's spec, kept for people. */
  readonly userSpecifiedImage: string;
  readonly imageAnnotations: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly envs: readonly { readonly key: string; readonly value: string }[];
  readonly mounts: readonly ContainerMount[];
  readonly devices: readonly ContainerDevice[];
  readonly cdiDevices: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Relative to the pod's log directory; empty is no log. */
  readonly logPath: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** A signal name such as `SIGTERM`; absent is the image's or the default. */
  readonly stopSignal?: string;
  readonly resources: LinuxResources;
  readonly security: ContainerSecurityContext;
}

/** How a container ended. */
export interface ContainerExit {
  /** Nanoseconds since the epoch. */
  readonly finishedAt: bigint;
  /** The exit status, or 128 + signal. */
  readonly exitCode: number;
  /** `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerCannotRun` or `Unknown`. */
  readonly reason: string;
  readonly message: string;
}

/**
 * The life of a container, the OCI runtime spec's states seen from the CRI.
 *
 * ```
 *           CreateContainer            StartContainer           exit, kill, OOM
 *   (none) ────────────────► created ─────────────────► running ────────────────► exited ──► (none)
 *                               │                                                   ▲  RemoveContainer
 *                               └───────────── start failed, shim lost ─────────────┘
 * ```
 */
export type ContainerState =
  | { readonly state: "creating" }
  | { readonly state: "created"; readonly pid: number }
  | { readonly state: "running"; readonly pid: number; readonly startedAt: bigint }
  | ({ readonly state: "exited"; readonly startedAt: bigint } & ContainerExit);

/** The user that the first process runs as, as resolved when it was created. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  readonly supplementalGroups: readonly number[];
}

/** A container as kept in the store. */
export interface Container {
  readonly id: ContainerId;
  readonly podId: PodId;
  readonly config: ContainerConfig;
  /** The image's id, the same in all answers. */
  readonly imageId: string;
  /** The repository digest the image was pulled by, or its id. */
  readonly imageRef: string;
  /** Ids of the images that its volumes show, by container path; absent is none. */
  readonly volumeImages?: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch. */
  readonly createdAt: bigint;
  readonly bootId: string;
  /** Absolute; empty is no log. */
  readonly logPath: string;
  readonly user: ContainerUser;
  /** The signal that Stop sends first. */
  readonly stopSignal: string;
  readonly resources: LinuxResources;
  readonly delivery?: Delivery;
  readonly state: ContainerState;
}
