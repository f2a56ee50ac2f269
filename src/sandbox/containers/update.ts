import { RuntimeError } from "../../core/errors.ts";
import type { Job } from "../../core/job.ts";
import type { LinuxResources } from "../../core/linux-resources.ts";
import { specResources, type CgroupFacts } from "../../oci/index.ts";
import type { ContainerEntry, Inventory } from "../inventory.ts";

/**
 * Changes what a created or running container may use; what `change` leaves out stays as it is. The record follows only
 * when the kernel took the change.
 */
export async function updateContainer(
  inventory: Inventory,
  cgroups: CgroupFacts,
  entry: ContainerEntry,
  change: LinuxResources,
  job: Job,
): Promise<void> {
  const { state, resources } = entry.record;
  const { shim } = entry;
  if ((state.state !== "created" && state.state !== "running") || shim === undefined) {
    throw new RuntimeError(
      "failed-precondition",
      `container ${entry.id} is ${state.state}: nothing to update`,
    );
  }
  const merged: LinuxResources = { ...resources, ...change };
  await job.stage("cgroup", () => shim.update(specResources(change, cgroups), { signal: job.signal }));
  await inventory.updateContainer(entry, () => ({ resources: merged }));
}
