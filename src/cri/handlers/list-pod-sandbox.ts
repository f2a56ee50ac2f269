import type { Pods } from "../../sandbox/index.ts";
import { podFilterFromProto } from "../convert/filters.ts";
import { joined, type Encoded } from "../encoded.ts";
import type { Encoders } from "../encoders.ts";
import type { ListPodSandboxRequest__Output } from "../types/runtime/v1/ListPodSandboxRequest.ts";
import type { ListPodSandboxResponse } from "../types/runtime/v1/ListPodSandboxResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Lists pods, from memory. */
export function listPodSandbox(
  pods: Pods,
  { listPodSandbox: encode }: Encoders,
): UnaryHandler<ListPodSandboxRequest__Output, Encoded<ListPodSandboxResponse>> {
  return (request) => joined(pods.list(podFilterFromProto(request.filter)).map(encode));
}
