import { RuntimeError } from "../core/errors.ts";
import type { IdMapping, NamespaceMode, NamespaceOptions, UserNamespace } from "../core/namespaces.ts";
import type { SpecIdMapping, SpecNamespace } from "../core/oci-runtime-spec.ts";

/** Paths at which the pod's namespaces are pinned; absent is none of its own. */
export interface PodPins {
  readonly network?: string;
  readonly ipc?: string;
  readonly uts?: string;
  readonly pid?: string;
  readonly user?: string;
}

/** What decides a container's namespaces. */
export interface NamespaceRequest {
  readonly podId: string;
  readonly pod: NamespaceOptions;
  readonly container: NamespaceOptions;
  readonly pins: PodPins;
  /** /proc path of the target container's pid namespace, where the container's `pid` is `target`. */
  readonly targetPid?: string;
  readonly cgroupVersion: 1 | 2;
  readonly privileged: boolean;
}

/**
 * The namespaces a container joins or gets. Network, ipc, uts and user are the pod's: a container may repeat the pod's
 * choice or be silent, but not leave it. A type that is absent is the node's.
 */
export function specNamespaces(request: NamespaceRequest): readonly SpecNamespace[] {
  const { pod, container, pins } = request;
  checkSameUser(pod.user, container.user);
  const network = joined(request, "network", pins.network);
  const namespaces: SpecNamespace[] = [{ type: "mount" }];
  if (pod.user.mode === "pod") namespaces.push({ type: "user", path: pinned(request, "user", pins.user) });
  namespaces.push(...network, ...joined(request, "ipc", pins.ipc));
  // Host network means the host's name too, as with other runtimes: the two have always gone together in Kubernetes.
  if (network.length > 0) namespaces.push({ type: "uts", path: pinned(request, "uts", pins.uts) });
  namespaces.push(...pidNamespace(request, container.pid));
  // On v1, and in a privileged container, the host's view is kept, for tools that look for cgroups by the host's paths.
  if (request.cgroupVersion === 2 && !request.privileged) namespaces.push({ type: "cgroup" });
  return namespaces;
}

/** OCI's words for a run of ids. */
export function specIdMappings(mappings: readonly IdMapping[]): readonly SpecIdMapping[] {
  return mappings.map(({ containerId, hostId, length }) => ({
    containerID: containerId,
    hostID: hostId,
    size: length,
  }));
}

function joined(
  request: NamespaceRequest,
  type: "network" | "ipc",
  path: string | undefined,
): readonly SpecNamespace[] {
  if (request.pod[type] === "node") return [];
  if (request.container[type] === "node") throw leavesPod(request, type);
  return [{ type, path: pinned(request, type, path) }];
}

function pidNamespace(request: NamespaceRequest, mode: NamespaceMode): readonly SpecNamespace[] {
  const { pod, pins, targetPid } = request;
  switch (mode) {
    case "container":
      return [{ type: "pid" }];
    case "node":
      if (pod.pid === "node") return [];
      throw leavesPod(request, "pid");
    case "target":
      if (targetPid === undefined) {
        throw new RuntimeError(
          "failed-precondition",
          `the target container ${request.container.targetId ?? ""} is not running`,
        );
      }
      return [{ type: "pid", path: targetPid }];
    case "pod":
      if (pod.pid === "node") return [];
      // A pod whose containers have one each has none to share: a request that says nothing more gets its own.
      return [pod.pid === "pod" ? { type: "pid", path: pinned(request, "pid", pins.pid) } : { type: "pid" }];
  }
}

function pinned(request: NamespaceRequest, type: string, path: string | undefined): string {
  if (path !== undefined) return path;
  throw new RuntimeError("failed-precondition", `pod ${request.podId} has no ${type} namespace pinned`);
}

function leavesPod(request: NamespaceRequest, type: string): RuntimeError {
  return new RuntimeError(
    "invalid-argument",
    `namespace_options.${type}: the container asks for the node's, its pod ${request.podId} has its own`,
  );
}

function checkSameUser(pod: UserNamespace, container: UserNamespace): void {
  if (JSON.stringify(userKey(pod)) === JSON.stringify(userKey(container))) return;
  throw new RuntimeError(
    "invalid-argument",
    "namespace_options.userns_options: the container's differ from its pod's",
  );
}

function userKey(user: UserNamespace): unknown {
  return user.mode === "node" ? [] : [specIdMappings(user.uids), specIdMappings(user.gids)];
}
