import { cpuMetrics } from "./cpu.ts";
import type { MetricDefinition } from "./definition.ts";
import { diskMetrics } from "./disk.ts";
import { memoryMetrics } from "./memory.ts";
import { networkMetrics } from "./network.ts";
import { pressureMetrics } from "./pressure.ts";
import { processMetrics } from "./processes.ts";

/** All metrics, by cAdvisor's names. */
export const metricCatalog: readonly MetricDefinition[] = [
  ...cpuMetrics,
  ...memoryMetrics,
  ...diskMetrics,
  ...networkMetrics,
  ...pressureMetrics,
  ...processMetrics,
];

/** The labels that every metric has, first: those that the kubelet gives cAdvisor's. */
export const baseLabels = ["container", "id", "image", "name", "namespace", "pod"] as const;
