import type { Pods } from "../../sandbox/index.ts";
import type { RemovePodSandboxRequest__Output } from "../types/runtime/v1/RemovePodSandboxRequest.ts";
import type { RemovePodSandboxResponse } from "../types/runtime/v1/RemovePodSandboxResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Removes a pod with all its containers. */
export function removePodSandbox(
  pods: Pods,
): UnaryHandler<RemovePodSandboxRequest__Output, RemovePodSandboxResponse> {
  return async (request, { signal }) => {
    await pods.remove(request.pod_sandbox_id, signal);
    return {};
  };
}
