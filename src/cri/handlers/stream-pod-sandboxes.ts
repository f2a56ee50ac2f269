import type { Pods } from "../../sandbox/index.ts";
import { podFilterFromProto } from "../convert/filters.ts";
import { podToProto } from "../convert/pod.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { PodSandbox } from "../types/runtime/v1/PodSandbox.ts";
import type { StreamPodSandboxesRequest__Output } from "../types/runtime/v1/StreamPodSandboxesRequest.ts";

/** Streams the list of pods as it is when the call comes. */
export function streamPodSandboxes(pods: Pods): StreamHandler<StreamPodSandboxesRequest__Output, PodSandbox> {
  return function* (request) {
    for (const one of pods.list(podFilterFromProto(request.filter))) yield podToProto(one);
  };
}
