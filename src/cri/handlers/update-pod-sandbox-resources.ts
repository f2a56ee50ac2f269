import type { Pods } from "../../sandbox/index.ts";
import { resourcesFromProto } from "../convert/resources.ts";
import type { UpdatePodSandboxResourcesRequest__Output } from "../types/runtime/v1/UpdatePodSandboxResourcesRequest.ts";
import type { UpdatePodSandboxResourcesResponse } from "../types/runtime/v1/UpdatePodSandboxResourcesResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Takes note of a pod's changed resources. */
export function updatePodSandboxResources(
  pods: Pods,
): UnaryHandler<UpdatePodSandboxResourcesRequest__Output, UpdatePodSandboxResourcesResponse> {
  return async (request, { signal }) => {
    const change = {
      ...(request.overhead === null ? {} : { overhead: resourcesFromProto("overhead", request.overhead) }),
      ...(request.resources === null
        ? {}
        : { resources: resourcesFromProto("resources", request.resources) }),
    };
    await pods.updateResources(request.pod_sandbox_id, change, signal);
    return {};
  };
}
