import type { Container } from "../../core/container.ts";
import type { Logger } from "../../core/logger.ts";
import type { Pod } from "../../core/pod.ts";
import type { ImageStore } from "../../images/index.ts";
import { clockGettime } from "../../sys/index.ts";
import type { LifecycleEvents } from "../events.ts";
import type { Inventory } from "../inventory.ts";
import { CgroupReader } from "./cgroup-reader.ts";
import { describeLayersFilesystem } from "./filesystem.ts";
import { Metrics } from "./metrics/metrics.ts";
import { Stats } from "./stats.ts";
import { WritableLayers } from "./writable-layers.ts";

/** What measuring containers and pods needs of the daemon. */
export interface MeasuringDeps {
  readonly inventory: Inventory;
  readonly events: LifecycleEvents;
  readonly images: ImageStore;
  readonly logger: Logger;
  /** Paths of cgroups from the hierarchies' roots. */
  readonly cgroupOf: (container: Container) => string;
  readonly podCgroupOf: (pod: Pod) => string;
}

/** Everything that measures; nothing is read and no layer is walked once it is disposed of. */
export interface Measuring extends AsyncDisposable {
  readonly stats: Stats;
  readonly metrics: Metrics;
  readonly layers: WritableLayers;
}

/** Begins to measure: looks the host's cgroups up and starts the walks of writable layers. */
export function startMeasuring(deps: MeasuringDeps): Measuring {
  const { inventory, images, logger } = deps;
  // Finer than the daemon's own clock: a value's time is never before the call that asked for it.
  const clock = clockGettime;
  const cgroups = CgroupReader.forThisHost(clock);
  const filesystem = describeLayersFilesystem(images.filesystemUsage().mountpoint);
  const layers = new WritableLayers({
    containers: () => [...inventory.containers()].map((entry) => entry.record),
    layerOf: (id) => images.writableLayer(id),
    clock,
    logger,
  });
  const stats = new Stats({ ...deps, cgroups, layers, clock });
  return {
    stats,
    layers,
    metrics: new Metrics({ ...deps, stats, cgroups, clock, filesystem }),
    [Symbol.asyncDispose]: async () => {
      stats[Symbol.dispose]();
      await layers[Symbol.asyncDispose]();
    },
  };
}
