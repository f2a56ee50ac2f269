import type { Images, Stats } from "../../sandbox/index.ts";
import { collect } from "../server-stream.ts";
import type { ListContainerStatsRequest__Output } from "../types/runtime/v1/ListContainerStatsRequest.ts";
import type { ListContainerStatsResponse } from "../types/runtime/v1/ListContainerStatsResponse.ts";
import type { UnaryHandler } from "../unary.ts";
import { streamContainerStats } from "./stream-container-stats.ts";

/** Measures many containers. */
export function listContainerStats(
  stats: Stats,
  images: Images,
): UnaryHandler<ListContainerStatsRequest__Output, ListContainerStatsResponse> {
  const measure = streamContainerStats(stats, images);
  return async (request, call) => ({ stats: await collect(measure(request, call)) });
}
