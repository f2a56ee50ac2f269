import type { Pod } from "../core/pod.ts";

/**
 * The annotations that containerd's CRI plugin puts on a container, which hooks, kata and gVisor read. Those of the
 * request are not passed on: none of them may change isolation (CVE-2023-6476, CVE-2024-3154).
 */
export function specAnnotations(
  pod: Pod,
  container: { readonly name: string; readonly imageName: string },
): Readonly<Record<string, string>> {
  const { namespace, name, uid } = pod.config.metadata;
  return {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.container-name": container.name,
    "io.kubernetes.cri.image-name": container.imageName,
    "io.kubernetes.cri.sandbox-id": pod.id,
    "io.kubernetes.cri.sandbox-name": name,
    "io.kubernetes.cri.sandbox-namespace": namespace,
    "io.kubernetes.cri.sandbox-uid": uid,
  };
}
