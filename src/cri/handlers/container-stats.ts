import type { Images, Stats } from "../../sandbox/index.ts";
import { containerStatsToProto } from "../convert/stats.ts";
import type { ContainerStatsRequest__Output } from "../types/runtime/v1/ContainerStatsRequest.ts";
import type { ContainerStatsResponse } from "../types/runtime/v1/ContainerStatsResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Measures one container. */
export function containerStats(
  stats: Stats,
  images: Images,
): UnaryHandler<ContainerStatsRequest__Output, ContainerStatsResponse> {
  return (request) => ({
    stats: containerStatsToProto(stats.container(request.container_id), images.filesystemUsage().mountpoint),
  });
}
