import type { Images, Stats } from "../../sandbox/index.ts";
import { collect } from "../server-stream.ts";
import type { ListPodSandboxStatsRequest__Output } from "../types/runtime/v1/ListPodSandboxStatsRequest.ts";
import type { ListPodSandboxStatsResponse } from "../types/runtime/v1/ListPodSandboxStatsResponse.ts";
import type { UnaryHandler } from "../unary.ts";
import { streamPodSandboxStats } from "./stream-pod-sandbox-stats.ts";

/** Measures many pods, those that are ready. */
export function listPodSandboxStats(
  stats: Stats,
  images: Images,
): UnaryHandler<ListPodSandboxStatsRequest__Output, ListPodSandboxStatsResponse> {
  const measure = streamPodSandboxStats(stats, images);
  return async (request, call) => ({ stats: await collect(measure(request, call)) });
}
