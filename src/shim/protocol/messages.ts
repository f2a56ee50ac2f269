import type { SpecIdMapping, SpecProcess, SpecResources } from "../../core/oci-runtime-spec.ts";

/** Raised by one whenever a message changes its meaning; a daemon speaks this version and the one before. */
export const protocolVersion = 1;

/**
 * The first message in both directions of every connection, to the launcher and to a shim alike. The daemon compares
 * `protocol`; of the launcher it compares `build` too, and replaces one of another build.
 */
export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  /** Hash of the shim program's bundle. */
  readonly build: string;
  /** /proc/sys/kernel/random/boot_id. */
  readonly boot: string;
}

/** The peer's hello, with its process id. */
export interface HelloReply extends Hello {
  readonly pid: number;
}

/**
 * What can be asked of the launcher. It forks for every connection, and the child does one piece of work, which may
 * hang, answers and ends; or it becomes a new shim, and the connection stays with that.
 */
export type LauncherRequest =
  | { readonly type: "new-shim"; readonly seq: number }
  | CreatePodRequest
  | RemovePodRequest
  | DestroyRequest
  | { readonly type: "shutdown"; readonly seq: number };

/** What can be asked of a new shim: `prepare`, then `create` or `delete`. Where the connection ends before, so does it. */
export type NewShimRequest =
  PrepareRequest | CreateRequest | { readonly type: "delete"; readonly seq: number };

/** What can be asked of a shim on any connection to its socket; answered in any order, matched by `seq`. */
export type ShimRequest =
  | { readonly type: "start"; readonly seq: number }
  | { readonly type: "state"; readonly seq: number }
  | KillRequest
  | { readonly type: "update"; readonly seq: number; readonly resources: SpecResources }
  | { readonly type: "reopen-log"; readonly seq: number }
  | { readonly type: "resize"; readonly seq: number; readonly rows: number; readonly cols: number }
  | { readonly type: "pause"; readonly seq: number }
  | { readonly type: "resume"; readonly seq: number }
  /** Kills what there is and ends the shim, whatever its state. */
  | { readonly type: "delete"; readonly seq: number }
  | ExecRequest
  | AttachRequest;

/** Whatever is asked of any of them. */
export type AnyRequest = LauncherRequest | NewShimRequest | ShimRequest;

/** Everything a client may send as a {@link frameMessage}. */
export type ClientMessage = Hello | AnyRequest;

/** Where the container's root comes from. */
export type RootfsSource =
  | {
      readonly kind: "overlay";
      /** Absolute folder that holds the layers' folders. */
      readonly layersDir: string;
      /** Relative to `layersDir`, topmost layer first. */
      readonly lowers: readonly string[];
      readonly upper: string;
      readonly work: string;
      /** Mount with `volatile` where the kernel accepts it. */
      readonly volatile: boolean;
      /** Set where the start-up probe found `lowerdir+` (Linux 6.8) to work. */
      readonly lowerdirPlus: boolean;
    }
  | { readonly kind: "directory"; readonly path: string }
  /** A copy of an image's tree, seen through the container's id mappings. */
  | { readonly kind: "copy"; readonly path: string };

/**
 * Gives a new shim its container and makes the container's cgroup, while the daemon still gathers what the container
 * is made of. The shim waits for the {@link CreateRequest} on the same connection; where the connection ends before,
 * so does the shim, and the cgroup is removed. Answered when the cgroup is there.
 */
export interface PrepareRequest {
  readonly type: "prepare";
  readonly seq: number;
  readonly id: string;
  /** `linux.cgroupsPath` of the spec to come. */
  readonly cgroup: string;
}

/** Makes the container that was prepared: the connection stays with the shim. Answered by {@link Created}. */
export interface CreateRequest {
  readonly type: "create";
  readonly seq: number;
  readonly id: string;
  /** Folder, 0700, that holds `config.json`. */
  readonly bundle: string;
  readonly rootfs: RootfsSource;
  /** Path of the socket that the shim serves; its folder is 0700. */
  readonly socket: string;
  /** Path of the exit record, preallocated at creation. */
  readonly exitRecord: string;
  /** Where the log goes; absent is none. */
  readonly log?: LogTarget;
  readonly stdin: "closed" | "open" | "open-once";
  /** File with the filter as an array of `struct sock_filter`, made from `linux.seccomp` by the daemon. */
  readonly seccompFilter?: { readonly path: string; readonly flags: readonly string[] };
  /** Folders of the rootfs that are made, and stay writable where the root is read-only. */
  readonly imageVolumes: readonly string[];
  /** Bind sources on the host that are made as folders where they are missing, as other runtimes do. */
  readonly createSources: readonly string[];
  /** Bind sources that get the label of `linux.mountLabel`, with all that is in them; absent is none. */
  readonly relabelSources?: readonly string[];
  /** What the spec's mounts of type `image` show; absent is none. */
  readonly imageMounts?: readonly ImageMount[];
}

/** An image as a volume, for the spec's mount with the same destination and source. */
export interface ImageMount {
  readonly destination: string;
  readonly source: string;
  /** Absolute folder that holds the layers' folders. */
  readonly layersDir: string;
  /** Relative to `layersDir`, topmost layer first. */
  readonly lowers: readonly string[];
  readonly lowerdirPlus: boolean;
  /** The folder of the image to show; empty is all of it. */
  readonly subPath: string;
}

/** A log in the CRI's format. */
export interface LogTarget {
  readonly path: string;
  /** A longer line is split and tagged P; 16384 by default. */
  readonly maxLineBytes: number;
  /** Length of the file beyond which lines are dropped and counted, until it is reopened or cut short; 0 is none. */
  readonly maxBytes: number;
}

/** A container exists, blocked before its execve. */
export interface Created {
  readonly pid: number;
  /** Start time of `pid` in clock ticks since boot (/proc/pid/stat field 22), which tells it from a later namesake. */
  readonly pidStartTicks: number;
  readonly shimPid: number;
  /** Things that were asked for and could not be had, such as a lower oom_score_adj. */
  readonly warnings: readonly string[];
}

/** The answer to `start`: execve succeeded. */
export interface Started {
  /** Nanoseconds since the epoch, decimal. */
  readonly startedAt: string;
}

export interface KillRequest {
  readonly type: "kill";
  readonly seq: number;
  /** Signal number. */
  readonly signal: number;
  /** The container's first process, or everything in its cgroup. */
  readonly scope: "init" | "all";
}

/** Adds a process to the container; answered by {@link ExecStarted}, then frames, then an {@link ExecExit} event. */
export interface ExecRequest {
  readonly type: "exec";
  readonly seq: number;
  readonly process: SpecProcess;
  readonly stdin: "closed" | "open";
  /** Kill the process and its descendants when it runs longer; 0 is no limit. */
  readonly timeoutMs: number;
  /** After the process ended, how long to wait for descendants that hold its output open. */
  readonly drainMs: number;
  readonly seccompFilter?: { readonly path: string; readonly flags: readonly string[] };
}

export interface ExecStarted {
  readonly pid: number;
}

/** Makes this connection carry the container's stdio. */
export interface AttachRequest {
  readonly type: "attach";
  readonly seq: number;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** How a process ended. */
export interface ExitRecord {
  /** Exit status, or 128 + signal. */
  readonly exitCode: number;
  /** 0 where it was not a signal. */
  readonly signal: number;
  readonly oomKilled: boolean;
  /** Nanoseconds since the epoch, decimal; "0" for a container that was never started. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Why execve did not happen, or other words for a person; empty where there is nothing to say. */
  readonly message: string;
}

/** The answer to `state`. */
export interface ShimState {
  readonly id: string;
  readonly status: "creating" | "created" | "running" | "paused" | "stopped";
  readonly pid: number;
  readonly pidStartTicks: number;
  readonly startedAt: string;
  readonly exit?: ExitRecord;
  /** Log lines dropped because the disk was stuck or full, or the log at its ceiling; their bytes as in the log. */
  readonly droppedLogLines: number;
  readonly droppedLogBytes: number;
  readonly warnings: readonly string[];
}

/** A pod's namespaces, made and pinned by a child of the launcher. */
export interface CreatePodRequest {
  readonly type: "create-pod";
  readonly seq: number;
  readonly id: string;
  /** Namespace type to the path it is pinned at (an empty file is made there, then bind-mounted over). */
  readonly pins: {
    readonly network?: string;
    readonly ipc?: string;
    readonly uts?: string;
    readonly user?: string;
    readonly pid?: string;
  };
  readonly hostname: string;
  /** Set inside the new namespaces, through a verified procfs; never for a namespace that is the host's. */
  readonly sysctls: Readonly<Record<string, string>>;
  readonly userMappings?: {
    readonly uids: readonly SpecIdMapping[];
    readonly gids: readonly SpecIdMapping[];
  };
  /** A tmpfs for the pod's /dev/shm. */
  readonly shm?: { readonly path: string; readonly sizeBytes: number };
  /** The cgroup of the reaper, where `pins.pid` is set; relative to the hierarchies' roots. */
  readonly cgroup?: string;
}

export interface PodCreated {
  /** The pod's PID 1, where it has a PID namespace of its own. */
  readonly reaper?: { readonly pid: number; readonly startTicks: number };
}

/** Undoes {@link CreatePodRequest}; every part may be gone already. */
export interface RemovePodRequest {
  readonly type: "remove-pod";
  readonly seq: number;
  readonly id: string;
  readonly pins: CreatePodRequest["pins"];
  readonly shmPath?: string;
  readonly reaper?: { readonly pid: number; readonly startTicks: number };
  readonly cgroup?: string;
}

/** Kills and removes what a lost shim left: its cgroup with all that is in it. Answered when it is gone. */
export interface DestroyRequest {
  readonly type: "destroy";
  readonly seq: number;
  readonly id: string;
  readonly cgroup: string;
  /** How long to wait for processes to die before the answer is an error that names them and where they hang. */
  readonly timeoutMs: number;
}

/** A failed request. */
export interface ShimFailure {
  /** What kind of failure, as core's ErrorCode. */
  readonly code:
    | "invalid-argument"
    | "failed-precondition"
    | "not-found"
    | "permission-denied"
    | "resource-exhausted"
    | "deadline-exceeded"
    | "internal";
  /** Lower case, names the thing; for a system call `syscall path: reason`. */
  readonly message: string;
  readonly syscall?: string;
  readonly errno?: number;
}

/** The answer to the request with the same `seq`. */
export type Reply =
  | {
      readonly seq: number;
      readonly ok: Created | Started | ExecStarted | ShimState | PodCreated | Record<string, never>;
    }
  | { readonly seq: number; readonly error: ShimFailure };

/** Sent unasked: `exit` to every connection when the container is over, `exec-exit` on the exec's own connection. */
export type ShimEvent =
  | { readonly event: "exit"; readonly record: ExitRecord }
  | {
      readonly event: "exec-exit";
      readonly exitCode: number;
      readonly signal: number;
      readonly timedOut: boolean;
    };

/** Everything a server may send as a {@link frameMessage}. */
export type ShimMessage = HelloReply | Reply | ShimEvent;
