import type { Pod } from "../../core/pod.ts";
import type { LinuxResources } from "../../core/linux-resources.ts";
import type { Inventory, PodEntry } from "../inventory.ts";

/** What of a pod's resources may change; what is absent stays. */
export interface PodResources {
  readonly overhead?: LinuxResources;
  readonly resources?: LinuxResources;
}

/**
 * Takes note of a pod's changed resources. The pod's cgroup is the kubelet's, which has changed its limits itself: there
 * is nothing to write.
 */
export async function updatePodResources(
  inventory: Inventory,
  entry: PodEntry,
  change: PodResources,
): Promise<void> {
  const config: Pod["config"] = {
    ...entry.record.config,
    ...(change.overhead === undefined
      ? {}
      : { overhead: { ...entry.record.config.overhead, ...change.overhead } }),
    ...(change.resources === undefined
      ? {}
      : { resources: { ...entry.record.config.resources, ...change.resources } }),
  };
  await inventory.updatePod(entry, { config });
}
