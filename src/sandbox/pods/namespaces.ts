import type { Pod, PodConfig } from "../../core/pod.ts";
import type { CreatePodRequest } from "../../shim/protocol/messages.ts";
import type { PodPaths } from "../paths.ts";
import { effectiveHostname } from "./files.ts";

/** Which namespaces a pod gets of its own, and where they are pinned; pure. */
export function podNamespaces(
  paths: PodPaths,
  config: PodConfig,
): Pick<CreatePodRequest, "pins" | "hostname" | "userMappings"> {
  const { network, ipc, pid, user } = config.security.namespaces;
  return {
    pins: {
      // A pod in the host's network has the host's name as well, as other runtimes have it.
      ...(network === "pod" ? { network: paths.network, uts: paths.uts } : {}),
      ...(ipc === "pod" ? { ipc: paths.ipc } : {}),
      ...(pid === "pod" ? { pid: paths.pid } : {}),
      ...(user.mode === "pod" ? { user: paths.user } : {}),
    },
    hostname: effectiveHostname(config),
    ...(user.mode === "pod"
      ? { userMappings: { uids: user.uids.map(specMapping), gids: user.gids.map(specMapping) } }
      : {}),
  };
}

/** The cgroup below which a pod's containers lie: the kubelet's, or one that is Berth's own. */
export function podCgroup(defaultParent: string, pod: Pod): string {
  return ownCgroupParent(defaultParent, pod) ?? pod.config.cgroupParent;
}

/** The cgroup that was made for a pod that named no parent, and goes with it. */
export function ownCgroupParent(defaultParent: string, pod: Pod): string | undefined {
  return pod.config.cgroupParent === "" ? `${defaultParent}/pod-${pod.id}` : undefined;
}

/** The cgroup of a pod's PID 1; a leaf beside the containers', since a v2 cgroup with children holds no process. */
export function reaperCgroup(defaultParent: string, pod: Pod): string {
  return `${podCgroup(defaultParent, pod)}/${pod.id}`;
}

function specMapping(mapping: { containerId: number; hostId: number; length: number }): {
  containerID: number;
  hostID: number;
  size: number;
} {
  return { containerID: mapping.containerId, hostID: mapping.hostId, size: mapping.length };
}
