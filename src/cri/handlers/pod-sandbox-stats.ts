import type { Images, Stats } from "../../sandbox/index.ts";
import { podStatsToProto } from "../convert/stats.ts";
import type { PodSandboxStatsRequest__Output } from "../types/runtime/v1/PodSandboxStatsRequest.ts";
import type { PodSandboxStatsResponse } from "../types/runtime/v1/PodSandboxStatsResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Measures one pod with its containers. */
export function podSandboxStats(
  stats: Stats,
  images: Images,
): UnaryHandler<PodSandboxStatsRequest__Output, PodSandboxStatsResponse> {
  return (request) => ({
    stats: podStatsToProto(stats.pod(request.pod_sandbox_id), images.filesystemUsage().mountpoint),
  });
}
