import type { Pods } from "../../sandbox/index.ts";
import type { StopPodSandboxRequest__Output } from "../types/runtime/v1/StopPodSandboxRequest.ts";
import type { StopPodSandboxResponse } from "../types/runtime/v1/StopPodSandboxResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Ends the processes and the network of a pod. */
export function stopPodSandbox(
  pods: Pods,
): UnaryHandler<StopPodSandboxRequest__Output, StopPodSandboxResponse> {
  return async (request, { signal }) => {
    await pods.stop(request.pod_sandbox_id, signal);
    return {};
  };
}
