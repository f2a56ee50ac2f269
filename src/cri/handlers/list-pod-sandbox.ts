import type { Pods } from "../../sandbox/index.ts";
import { podFilterFromProto } from "../convert/filters.ts";
import { podToProto } from "../convert/pod.ts";
import type { ListPodSandboxRequest__Output } from "../types/runtime/v1/ListPodSandboxRequest.ts";
import type { ListPodSandboxResponse } from "../types/runtime/v1/ListPodSandboxResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Lists pods, from memory. */
export function listPodSandbox(
  pods: Pods,
): UnaryHandler<ListPodSandboxRequest__Output, ListPodSandboxResponse> {
  return (request) => ({ items: pods.list(podFilterFromProto(request.filter)).map(podToProto) });
}
