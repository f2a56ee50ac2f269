import { rm } from "node:fs/promises";
import type { Job } from "../../core/job.ts";
import type { ImageStore } from "../../images/index.ts";
import type { LifecycleEvents } from "../events.ts";
import { isAlive, type ContainerEntry, type Inventory } from "../inventory.ts";
import type { StatePaths } from "../paths.ts";
import { killContainer, type StopContainerDeps } from "./stop.ts";

/** What removing a container needs. */
export interface RemoveContainerDeps extends StopContainerDeps {
  readonly inventory: Inventory;
  readonly events: LifecycleEvents;
  readonly images: ImageStore;
  readonly paths: StatePaths;
}

/** Kills a container where it lives, removes its writable layer and bundle, and forgets it. Logs are the caller's. */
export async function removeContainer(
  deps: RemoveContainerDeps,
  entry: ContainerEntry,
  job: Job,
): Promise<void> {
  if (deps.inventory.findContainer(entry.id) === undefined) return;
  if (isAlive(entry.record.state)) await job.stage("kill", () => killContainer(deps, entry, job.signal));
  await job.stage("writable layer", () => deps.images.removeSnapshot(entry.id));
  await rm(deps.paths.container(entry.id).folder, { recursive: true, force: true });
  await deps.inventory.removeContainer(entry);
  deps.events.emit("deleted", entry);
}
