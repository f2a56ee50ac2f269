/**
 * Whose namespace a process gets: the pod's, its own, the node's, or that of a target container (pid only).
 */
export type NamespaceMode = "pod" | "container" | "node" | "target";

/** A run of ids: `containerId..containerId+length` inside is `hostId..hostId+length` outside. */
export interface IdMapping {
  readonly containerId: number;
  readonly hostId: number;
  readonly length: number;
}

/** The user namespace of a pod: the node's, or one of its own with exactly one run of ids each. */
export type UserNamespace =
  | { readonly mode: "node" }
  | { readonly mode: "pod"; readonly uids: readonly IdMapping[]; readonly gids: readonly IdMapping[] };

/** The namespace choices of a pod or container. */
export interface NamespaceOptions {
  readonly network: NamespaceMode;
  readonly pid: NamespaceMode;
  readonly ipc: NamespaceMode;
  /** The container whose pid namespace is joined where `pid` is `target`. */
  readonly targetId?: string;
  readonly user: UserNamespace;
}
