import type { Socket } from "node:net";
import { RuntimeError } from "../core/errors.ts";
import type { PodId } from "../core/ids.ts";
import type { Pod, PodConfig } from "../core/pod.ts";
import type { JobJournal } from "../store/index.ts";
import type { Inventory } from "./inventory.ts";
import { describePod, keyOf, podAttempt } from "./names.ts";
import { connectToPod } from "./pods/connect.ts";
import { removePod, type RemovePodDeps } from "./pods/remove.ts";
import { runPod, type RunPodDeps } from "./pods/run.ts";
import { stopPod } from "./pods/stop.ts";
import { updatePodResources, type PodResources } from "./pods/update.ts";
import { selectsPod, type PodFilter } from "./selection.ts";
import type { Unclaimed } from "./unclaimed.ts";

/** What the pods' side of the daemon needs. */
export type PodsDeps = RunPodDeps &
  RemovePodDeps & { readonly jobs: JobJournal; readonly unclaimed: Unclaimed };

/** Pods, as the CRI's handlers see them: changes are jobs, reads come from memory. */
export class Pods {
  readonly #deps: PodsDeps;
  readonly #inventory: Inventory;
  readonly #jobs: JobJournal;

  constructor(deps: PodsDeps) {
    this.#deps = deps;
    this.#inventory = deps.inventory;
    this.#jobs = deps.jobs;
  }

  /**
   * Makes and starts a pod. A call with the metadata of one that is being made, or that was made and that nobody
   * claimed, gets that one.
   */
  async run(config: PodConfig, runtimeHandler: string, signal: AbortSignal): Promise<PodId> {
    if (runtimeHandler !== "") {
      throw new RuntimeError(
        "invalid-argument",
        `runtime_handler: no handler ${JSON.stringify(runtimeHandler)} is configured`,
      );
    }
    const { unclaimed } = this.#deps;
    const { metadata } = config;
    const name = podAttempt(metadata);
    const id = await this.#jobs.run(
      { kind: "RunPodSandbox", subject: describePod(metadata), key: keyOf(name), kept: "journal" },
      signal,
      (job) => unclaimed.make(name, job, () => runPod(this.#deps, config, runtimeHandler, job)),
    );
    const { id: claimed } = await unclaimed.claim(this.#inventory.pod(id), signal);
    return claimed;
  }

  /** Takes the node's ranges of pod addresses, with commas between, for the plugins that ask for them. */
  setPodCidrs(text: string): Promise<void> {
    return this.#deps.networks.setPodCidrs(text);
  }

  /** Ends a pod's processes and network. Unknown and stopped pods are no error. */
  async stop(text: string, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.findPod(text);
    if (entry === undefined) return;
    await this.#jobs.run(
      { kind: "StopPodSandbox", subject: entry.id, key: `stop ${entry.id}`, kept: "journal" },
      signal,
      (job) => entry.lifecycle.run(() => stopPod(this.#deps, entry, job)),
    );
  }

  /** Removes a pod with all its containers. Unknown pods are no error. */
  async remove(text: string, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.findPod(text);
    if (entry === undefined) return;
    await this.#jobs.run(
      { kind: "RemovePodSandbox", subject: entry.id, key: `remove ${entry.id}`, kept: "journal" },
      signal,
      (job) => entry.lifecycle.run(() => removePod(this.#deps, entry, job)),
    );
  }

  /** Takes note of what a pod may use from now on; throws `not-found`. */
  async updateResources(text: string, change: PodResources, signal: AbortSignal): Promise<void> {
    const entry = this.#inventory.pod(text);
    await this.#jobs.run(
      { kind: "UpdatePodSandboxResources", subject: entry.id, kept: "journal" },
      signal,
      () => entry.lifecycle.run(() => updatePodResources(this.#inventory, entry, change)),
    );
  }

  /** Connects to a TCP port from within a pod's network. */
  async connect(text: string, port: number, signal: AbortSignal): Promise<Socket> {
    return connectToPod(this.get(text), port, signal);
  }

  /** The pod with an id or a unique prefix of one; throws `not-found`. */
  get(text: string): Pod {
    const { record } = this.#inventory.pod(text);
    if (record.state.state === "creating")
      throw new RuntimeError("not-found", `pod ${record.id} is being made`);
    return record;
  }

  /** The pods that a filter selects, newest first. */
  list(filter: PodFilter): readonly Pod[] {
    return [...this.#inventory.pods()]
      .map((entry) => entry.record)
      .filter((pod) => selectsPod(filter, pod))
      .reverse();
  }
}
