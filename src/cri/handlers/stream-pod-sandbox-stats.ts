import type { Images, Stats } from "../../sandbox/index.ts";
import { podStatsFilterFromProto, podStatsToProto } from "../convert/stats.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { PodSandboxStats } from "../types/runtime/v1/PodSandboxStats.ts";
import type { StreamPodSandboxStatsRequest__Output } from "../types/runtime/v1/StreamPodSandboxStatsRequest.ts";

/** Measures many pods, each when its turn in the stream comes. */
export function streamPodSandboxStats(
  stats: Stats,
  images: Images,
): StreamHandler<StreamPodSandboxStatsRequest__Output, PodSandboxStats> {
  return async function* (request) {
    const { mountpoint } = images.filesystemUsage();
    for await (const one of stats.pods(podStatsFilterFromProto(request.filter))) {
      yield podStatsToProto(one, mountpoint);
    }
  };
}
