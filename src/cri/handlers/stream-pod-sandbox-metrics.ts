import type { Metrics } from "../../sandbox/index.ts";
import { podMetricsToProto } from "../convert/metrics.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { PodSandboxMetrics } from "../types/runtime/v1/PodSandboxMetrics.ts";
import type { StreamPodSandboxMetricsRequest__Output } from "../types/runtime/v1/StreamPodSandboxMetricsRequest.ts";

/** The metrics of all ready pods, each measured when its turn in the stream comes. */
export function streamPodSandboxMetrics(
  metrics: Metrics,
): StreamHandler<StreamPodSandboxMetricsRequest__Output, PodSandboxMetrics> {
  return async function* () {
    for await (const pod of metrics.pods()) yield podMetricsToProto(pod);
  };
}
