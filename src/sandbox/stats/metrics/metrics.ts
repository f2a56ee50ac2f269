import { readlinkSync } from "node:fs";
import { basename } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../../core/clock.ts";
import type { Container } from "../../../core/container.ts";
import type { ContainerId, PodId } from "../../../core/ids.ts";
import type { Logger } from "../../../core/logger.ts";
import type { Pod } from "../../../core/pod.ts";
import type { FileSystem } from "../../../sys/index.ts";
import type { CgroupReader } from "../cgroup-reader.ts";
import { countProcesses, LookBudget, maxOpenFiles } from "../processes.ts";
import type { ContainerStats, PodStats, Stats } from "../stats.ts";
import { metricCatalog } from "./catalog.ts";
import type { MetricDefinition, MetricSource, MetricValue } from "./definition.ts";

/** One value of a metric with all its labels. */
export interface Sample extends MetricValue {
  readonly definition: MetricDefinition;
}

/** The metrics of a pod as a whole and of each of its containers that has processes. */
export interface PodMetrics {
  readonly podId: PodId;
  readonly samples: readonly Sample[];
  readonly containers: readonly { readonly id: ContainerId; readonly samples: readonly Sample[] }[];
}

/** What metrics need besides the stats that they share their numbers with. */
export interface MetricsDeps {
  readonly stats: Stats;
  readonly cgroups: CgroupReader;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Describes the file system that holds writable layers. */
  readonly filesystem: () => Promise<FileSystem & { readonly device: string }>;
  readonly cgroupOf: (container: Container) => string;
  readonly podCgroupOf: (pod: Pod) => string;
}

/** Metrics in cAdvisor's place, for pods that are ready. */
export class Metrics {
  readonly #deps: MetricsDeps;
  readonly #deviceNames = new Map<string, string>();

  constructor(deps: MetricsDeps) {
    this.#deps = deps;
  }

  /** Measures every ready pod, one after the other. */
  async *pods(): AsyncGenerator<PodMetrics> {
    const filesystem = await this.#filesystem();
    const budget = new LookBudget();
    for await (const pod of this.#deps.stats.pods({ id: "", labels: {} })) {
      yield {
        podId: pod.pod.id,
        samples: this.#podSamples(pod),
        containers: pod.containers
          .filter(({ usage }) => usage !== undefined)
          .map((one) => ({
            id: one.container.id,
            samples: this.#containerSamples(pod.pod, one, filesystem, budget),
          })),
      };
      // A pod's metrics take a millisecond: other calls get their turn after each.
      await nextTurn();
    }
  }

  #podSamples({ pod, usage, network }: PodStats): readonly Sample[] {
    const { name, namespace } = pod.config.metadata;
    // As a container, a pod has no name and no image, which tells its series from its containers'.
    const labels = ["", this.#deps.podCgroupOf(pod), "", pod.id, namespace, name];
    return samples(labels, {
      ...this.#common(pod.id, usage),
      processes: undefined,
      maxOpenFiles: undefined,
      layer: undefined,
      filesystem: undefined,
      interfaces: network?.main === undefined ? [] : [network.main, ...network.others],
      shares: undefined,
      startedAt: pod.createdAt,
    });
  }

  #containerSamples(
    pod: Pod,
    { container, usage, writableLayer }: ContainerStats,
    filesystem: MetricSource["filesystem"],
    budget: LookBudget,
  ): readonly Sample[] {
    const { metadata, userSpecifiedImage } = container.config;
    const image = userSpecifiedImage === "" ? container.imageRef : userSpecifiedImage;
    const id = this.#deps.cgroupOf(container);
    const { name, namespace } = pod.config.metadata;
    const { state } = container;
    const files = this.#deps.stats.files(container.id);
    const folder = files === undefined ? undefined : this.#deps.cgroups.processFolder(files);
    return samples([metadata.name, id, image, container.id, namespace, name], {
      ...this.#common(container.id, usage),
      processes: folder === undefined ? undefined : countProcesses(folder, budget),
      maxOpenFiles: "pid" in state ? maxOpenFiles(state.pid) : undefined,
      layer: writableLayer,
      filesystem,
      interfaces: [],
      shares: container.resources.cpuShares,
      startedAt: state.state === "running" ? state.startedAt : container.createdAt,
    });
  }

  #common(
    id: ContainerId | PodId,
    usage: MetricSource["usage"],
  ): Pick<MetricSource, "usage" | "detail" | "now" | "deviceName"> {
    const files = this.#deps.stats.files(id);
    return {
      usage,
      detail: usage === undefined || files === undefined ? undefined : this.#deps.cgroups.detail(files),
      now: this.#deps.clock(),
      deviceName: (major, minor) => this.#deviceName(major, minor),
    };
  }

  async #filesystem(): Promise<MetricSource["filesystem"]> {
    try {
      return await this.#deps.filesystem();
    } catch (error) {
      this.#deps.logger.warn("the file system of writable layers cannot be measured", {
        error: String(error),
      });
      return undefined;
    }
  }

  /** Such as `/dev/vda`; empty for a device that is gone. There are as many as the host has. */
  #deviceName(major: number, minor: number): string {
    const numbers = `${major}:${minor}`;
    const known = this.#deviceNames.get(numbers);
    if (known !== undefined) return known;
    const name = lookUpDevice(numbers);
    this.#deviceNames.set(numbers, name);
    return name;
  }
}

/** Every value that the numbers of one container or pod give. */
export function samples(base: readonly string[], source: MetricSource): readonly Sample[] {
  return metricCatalog.flatMap((definition) =>
    definition.values(source).map((value) => ({
      ...value,
      definition,
      labels: [...base, ...value.labels],
    })),
  );
}

/** @see https://man7.org/linux/man-pages/man5/sysfs.5.html (/sys/dev) */
function lookUpDevice(numbers: string): string {
  try {
    return `/dev/${basename(readlinkSync(`/sys/dev/block/${numbers}`))}`;
  } catch {
    return "";
  }
}
