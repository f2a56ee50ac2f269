import type { Delivery } from "./delivery.ts";
import type { PodId } from "./ids.ts";
import type { LinuxResources } from "./linux-resources.ts";
import type { SecurityContext } from "./security.ts";

/** What makes a pod unique: a retry carries the same four values, a new try a higher attempt. */
export interface PodMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly attempt: number;
}

/** The pod's resolv.conf. */
export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** A port of the pod that is reachable through the host; `hostPort` 0 is none. */
export interface PortMapping {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly containerPort: number;
  readonly hostPort: number;
  /** Empty is every address of the host. */
  readonly hostIp: string;
}

/** A pod as asked for; only `resources` and `overhead` change later. */
export interface PodConfig {
  readonly metadata: PodMetadata;
  readonly hostname: string;
  /** Absolute path of the folder below which containers' logs lie; empty is no logs. */
  readonly logDirectory: string;
  readonly dns?: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Empty is Berth's own default parent. */
  readonly cgroupParent: string;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly security: SecurityContext;
  readonly resources?: LinuxResources;
  readonly overhead?: LinuxResources;
}

/** What the network gave a pod, or that it uses the host's. */
export interface PodNetwork {
  /** Every address, the primary first; empty for a pod in the host's network. */
  readonly ips: readonly string[];
  /** Path of the pinned network namespace; absent for a pod in the host's network. */
  readonly netns?: string;
}

/**
 * The life of a pod.
 *
 * ```
 *            RunPodSandbox                  StopPodSandbox, a lost reaper, a new boot
 *   (none) ───────────────► creating ──► ready ───────────────────────────────► not-ready ──► (none)
 *                              │                                                    ▲   RemovePodSandbox
 *                              └── failure: undone, no record stays                  └── StopPodSandbox again: nothing to do
 * ```
 */
export type PodState =
  | { readonly state: "creating" }
  | { readonly state: "ready"; readonly network: PodNetwork }
  | {
      readonly state: "not-ready";
      readonly network: PodNetwork;
      readonly since: bigint;
      /** `owed` until processes, network and namespaces are gone. */
      readonly teardown: "owed" | "done";
    };

/** A pod as kept in the store. */
export interface Pod {
  readonly id: PodId;
  readonly config: PodConfig;
  readonly runtimeHandler: string;
  /** Nanoseconds since the epoch. */
  readonly createdAt: bigint;
  /** The kernel's boot id when the pod was made: its namespaces do not outlive it. */
  readonly bootId: string;
  /** The pod's PID 1 where its containers share a PID namespace. */
  readonly reaper?: { readonly pid: number; readonly startTicks: number };
  readonly delivery?: Delivery;
  readonly state: PodState;
}
