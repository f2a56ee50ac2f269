import type { PodNetworks } from "../../cni/index.ts";
import type { Clock } from "../../core/clock.ts";
import type { Job } from "../../core/job.ts";
import { stopContainer, type StopContainerDeps } from "../containers/stop.ts";
import { networkOf, type PodEntry } from "../inventory.ts";
import { collectFailures } from "../failures.ts";
import { removeNamespaces, type RunPodDeps } from "./run.ts";

/** What stopping a pod needs. */
export interface StopPodDeps
  extends
    Pick<RunPodDeps, "inventory" | "launcher" | "paths" | "cgroupParent" | "networkTimeoutMs">,
    StopContainerDeps {
  readonly networks: PodNetworks;
  readonly clock: Clock;
}

/**
 * Ends a pod: it is not ready from now on, its processes are killed, its network and namespaces go. Every part is tried
 * even when another fails, and can be tried again: a later call does what is left.
 */
export async function stopPod(deps: StopPodDeps, entry: PodEntry, job: Job): Promise<void> {
  const { state } = entry.record;
  if (state.state === "not-ready" && state.teardown === "done") return;
  if (state.state === "ready") {
    await deps.inventory.updatePod(entry, {
      state: { state: "not-ready", network: networkOf(state), since: deps.clock(), teardown: "owed" },
    });
  }
  await Promise.allSettled(entry.arriving);
  const processes = job.stage("processes", () =>
    collectFailures([...entry.containers].map((container) => stopContainer(deps, container, 0, job.signal))),
  );
  await processes.catch(() => undefined);
  // A process that hangs in the kernel holds no address back; its namespaces stay until it is gone.
  const network = job.stage("network", () =>
    deps.networks.detach(entry.id, job, AbortSignal.timeout(deps.networkTimeoutMs)),
  );
  await collectFailures([processes, network]);
  await job.stage("namespaces", () => removeNamespaces(deps, entry.record));
  const stopped = entry.record.state;
  if (stopped.state === "not-ready") {
    await deps.inventory.updatePod(entry, { state: { ...stopped, teardown: "done" } });
    deps.events.emit("stopped", entry);
  }
}
