import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";
import type { Container } from "../../core/container.ts";
import type { ContainerId, PodId } from "../../core/ids.ts";
import type { Logger } from "../../core/logger.ts";
import type { Pod } from "../../core/pod.ts";
import type { LifecycleEvents } from "../events.ts";
import { isAlive, type ContainerEntry, type Inventory, type PodEntry } from "../inventory.ts";
import { isShown, selectsContainer, selectsPod, type ContainerFilter, type PodFilter } from "../selection.ts";
import type { CgroupFiles } from "./cgroup-files.ts";
import type { CgroupReader } from "./cgroup-reader.ts";
import { CpuRate } from "./cpu-rate.ts";
import { networkUsage, readInterfaces, type NetworkUsage } from "./network.ts";
import type { CgroupUsage } from "./numbers.ts";
import type { LayerUsage, WritableLayers } from "./writable-layers.ts";

/** What a container uses. One without processes has no cgroup any more, but still a writable layer. */
export interface ContainerStats {
  readonly container: Container;
  readonly usage: CgroupUsage | undefined;
  /** Nanoseconds of CPU a second; absent before there are two samples to compare. */
  readonly cpuRate: bigint | undefined;
  readonly writableLayer: LayerUsage;
}

/** What a pod uses as a whole, on its cgroup and network, and each of its containers. */
export interface PodStats {
  readonly pod: Pod;
  readonly usage: CgroupUsage | undefined;
  readonly cpuRate: bigint | undefined;
  /** Absent for a pod in the host's network. */
  readonly network: NetworkUsage | undefined;
  readonly containers: readonly ContainerStats[];
}

/** What measuring needs. */
export interface StatsDeps {
  readonly inventory: Inventory;
  readonly events: LifecycleEvents;
  readonly cgroups: CgroupReader;
  readonly layers: WritableLayers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cgroupOf: (container: Container) => string;
  readonly podCgroupOf: (pod: Pod) => string;
}

/** Containers or pods measured before the event loop gets a turn: about a millisecond. */
const batchSize = 16;

/** The measuring side of one container or pod. */
interface Gauge {
  readonly files: CgroupFiles;
  readonly rate: CpuRate;
}

/**
 * What containers and pods use. Everything but writable layers is read when it is asked for, through handles that stay
 * open as long as the container or pod runs; nothing waits for lifecycle work.
 */
export class Stats implements Disposable {
  readonly #deps: StatsDeps;
  readonly #gauges = new Map<ContainerId | PodId, Gauge>();
  readonly #stopListening: () => void;

  constructor(deps: StatsDeps) {
    this.#deps = deps;
    this.#stopListening = deps.events.listen(({ kind, id, pod }) => {
      const isPod = id === pod.id;
      if (kind === "stopped" || kind === "deleted") this.#forget(id);
      if (isPod) return;
      if (kind === "deleted") deps.layers.forget(id as ContainerId);
      else deps.layers.touch(id as ContainerId);
    });
  }

  /** One container, by its id or a unique prefix; throws `not-found`. */
  container(text: string): ContainerStats {
    return this.#measureContainer(this.#deps.inventory.container(text));
  }

  /** The containers that a filter selects, those that have ended included, as containerd lists them. */
  async *containers(filter: ContainerFilter): AsyncGenerator<ContainerStats> {
    const { inventory } = this.#deps;
    const selected = [...inventory.containers()].filter(({ record }) => selectsContainer(filter, record));
    for await (const entry of inBatches(selected)) {
      // What was removed since the call began is left out.
      if (inventory.findContainer(entry.id) === entry) yield this.#measureContainer(entry);
    }
  }

  /** One pod, by its id or a unique prefix; throws `not-found`. */
  pod(text: string): PodStats {
    return this.#measurePod(this.#deps.inventory.pod(text));
  }

  /** The ready pods that a filter selects: of others there is nothing to measure. */
  async *pods(filter: PodFilter): AsyncGenerator<PodStats> {
    const { inventory } = this.#deps;
    const ready = [...inventory.pods()].filter(({ record }) =>
      selectsPod({ ...filter, ready: "ready" }, record),
    );
    for await (const entry of inBatches(ready)) {
      if (entry.record.state.state === "ready") yield this.#measurePod(entry);
    }
  }

  /** The open files of the cgroup of a container or pod that was measured; undefined where it has ended since. */
  files(id: ContainerId | PodId): CgroupFiles | undefined {
    return this.#gauges.get(id)?.files;
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    for (const id of [...this.#gauges.keys()]) this.#forget(id);
  }

  #measureContainer(entry: ContainerEntry): ContainerStats {
    const container = entry.record;
    const writableLayer = this.#deps.layers.usage(container);
    return { container, ...this.#measure(entry), writableLayer };
  }

  #measurePod(entry: PodEntry): PodStats {
    const pod = entry.record;
    return {
      pod,
      ...this.#measure(entry),
      network: this.#network(pod),
      containers: [...entry.containers]
        .filter(({ record }) => isShown(record))
        .map((container) => this.#measureContainer(container)),
    };
  }

  #measure(entry: ContainerEntry | PodEntry): Pick<ContainerStats, "usage" | "cpuRate"> {
    const gauge = this.#gauge(entry);
    const usage = gauge === undefined ? undefined : this.#deps.cgroups.usage(gauge.files);
    const used = usage?.cpuNanoseconds;
    const cpuRate = used === undefined ? undefined : gauge?.rate.next(process.hrtime.bigint(), used);
    return { usage, cpuRate };
  }

  #gauge(entry: ContainerEntry | PodEntry): Gauge | undefined {
    const path = this.#cgroup(entry);
    if (path === undefined) return undefined;
    const known = this.#gauges.get(entry.id);
    if (known !== undefined) return known;
    const made = { files: this.#deps.cgroups.open(path), rate: new CpuRate() };
    this.#gauges.set(entry.id, made);
    return made;
  }

  /** The cgroup's path while there is one. */
  #cgroup(entry: ContainerEntry | PodEntry): string | undefined {
    if ("pod" in entry) {
      return isAlive(entry.record.state) ? this.#deps.cgroupOf(entry.record) : undefined;
    }
    return entry.record.state.state === "ready" ? this.#deps.podCgroupOf(entry.record) : undefined;
  }

  #network(pod: Pod): NetworkUsage | undefined {
    const netns = pod.state.state === "ready" ? pod.state.network.netns : undefined;
    if (netns === undefined) return undefined;
    const at = this.#deps.clock();
    try {
      return networkUsage(at, readInterfaces(netns));
    } catch (error) {
      // Its other numbers are worth having all the same.
      this.#deps.logger.warn("a pod's network cannot be measured", { pod: pod.id, error: String(error) });
      return undefined;
    }
  }

  #forget(id: ContainerId | PodId): void {
    this.#gauges.get(id)?.files[Symbol.dispose]();
    this.#gauges.delete(id);
  }
}

/** Gives other calls a turn now and then. */
export async function* inBatches<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % batchSize === 0) await nextTurn();
    yield item;
  }
}
