import { rm } from "node:fs/promises";
import type { Job } from "../../core/job.ts";
import { removeContainer, type RemoveContainerDeps } from "../containers/remove.ts";
import { collectFailures } from "../failures.ts";
import type { PodEntry } from "../inventory.ts";
import { stopPod, type StopPodDeps } from "./stop.ts";

/** What removing a pod needs. */
export type RemovePodDeps = StopPodDeps & RemoveContainerDeps;

/** Stops a pod where that is owed, removes its containers and files, and forgets it. */
export async function removePod(deps: RemovePodDeps, entry: PodEntry, job: Job): Promise<void> {
  await stopPod(deps, entry, job);
  await job.stage("containers", () =>
    collectFailures(
      [...entry.containers].map((container) =>
        container.lifecycle.run(() => removeContainer(deps, container, job)),
      ),
    ),
  );
  await job.stage("files", () => rm(deps.paths.pod(entry.id).folder, { recursive: true, force: true }));
  await deps.inventory.removePod(entry);
  deps.events.emit("deleted", entry);
}
