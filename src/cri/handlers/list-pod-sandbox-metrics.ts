import type { Metrics } from "../../sandbox/index.ts";
import { collect } from "../server-stream.ts";
import type { ListPodSandboxMetricsRequest__Output } from "../types/runtime/v1/ListPodSandboxMetricsRequest.ts";
import type { ListPodSandboxMetricsResponse } from "../types/runtime/v1/ListPodSandboxMetricsResponse.ts";
import type { UnaryHandler } from "../unary.ts";
import { streamPodSandboxMetrics } from "./stream-pod-sandbox-metrics.ts";

/** The metrics of all ready pods, which the kubelet publishes in cAdvisor's place. */
export function listPodSandboxMetrics(
  metrics: Metrics,
): UnaryHandler<ListPodSandboxMetricsRequest__Output, ListPodSandboxMetricsResponse> {
  const measure = streamPodSandboxMetrics(metrics);
  return async (request, call) => ({ pod_metrics: await collect(measure(request, call)) });
}
