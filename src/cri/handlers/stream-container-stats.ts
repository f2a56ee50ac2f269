import type { Images, Stats } from "../../sandbox/index.ts";
import { containerStatsFilterFromProto, containerStatsToProto } from "../convert/stats.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { ContainerStats } from "../types/runtime/v1/ContainerStats.ts";
import type { StreamContainerStatsRequest__Output } from "../types/runtime/v1/StreamContainerStatsRequest.ts";

/** Measures many containers, each when its turn in the stream comes. */
export function streamContainerStats(
  stats: Stats,
  images: Images,
): StreamHandler<StreamContainerStatsRequest__Output, ContainerStats> {
  return async function* (request) {
    const { mountpoint } = images.filesystemUsage();
    for await (const one of stats.containers(containerStatsFilterFromProto(request.filter))) {
      yield containerStatsToProto(one, mountpoint);
    }
  };
}
