import { baseLabels, type MetricDefinition, type PodMetrics, type Sample } from "../../sandbox/index.ts";
import type { Metric } from "../types/runtime/v1/Metric.ts";
import type { MetricDescriptor } from "../types/runtime/v1/MetricDescriptor.ts";
import type { PodSandboxMetrics } from "../types/runtime/v1/PodSandboxMetrics.ts";

/** Describes a metric; its labels stand in the order of the samples' values. */
export function metricDescriptorToProto({ name, help, labels }: MetricDefinition): MetricDescriptor {
  return { name, help, label_keys: [...baseLabels, ...labels] };
}

/** The metrics of one pod. */
export function podMetricsToProto({ podId, samples, containers }: PodMetrics): PodSandboxMetrics {
  return {
    pod_sandbox_id: podId,
    metrics: samples.map(sampleToProto),
    container_metrics: containers.map((container) => ({
      container_id: container.id,
      metrics: container.samples.map(sampleToProto),
    })),
  };
}

function sampleToProto({ definition, labels, value, at }: Sample): Metric {
  return {
    name: definition.name,
    // What is read live carries no time, as the contract says: a scraper then takes its own, and knows what has ended.
    timestamp: String(at ?? 0n),
    metric_type: definition.kind === "counter" ? "COUNTER" : "GAUGE",
    label_values: [...labels],
    value: { value: String(value) },
  };
}
