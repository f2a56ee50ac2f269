import type { Pods } from "../../sandbox/index.ts";
import { podFilterFromProto } from "../convert/filters.ts";
import type { Encoded } from "../encoded.ts";
import type { Encoders } from "../encoders.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { StreamPodSandboxesRequest__Output } from "../types/runtime/v1/StreamPodSandboxesRequest.ts";
import type { StreamPodSandboxesResponse } from "../types/runtime/v1/StreamPodSandboxesResponse.ts";

/** Streams the list of pods as it is when the call comes. */
export function streamPodSandboxes(
  pods: Pods,
  { streamPodSandboxes: encode }: Encoders,
): StreamHandler<StreamPodSandboxesRequest__Output, Encoded<StreamPodSandboxesResponse>> {
  return function* (request) {
    for (const one of pods.list(podFilterFromProto(request.filter))) yield encode(one);
  };
}
