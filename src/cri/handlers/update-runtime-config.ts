import type { Pods } from "../../sandbox/index.ts";
import type { UpdateRuntimeConfigRequest__Output } from "../types/runtime/v1/UpdateRuntimeConfigRequest.ts";
import type { UpdateRuntimeConfigResponse } from "../types/runtime/v1/UpdateRuntimeConfigResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/**
 * Takes note of the node's pod CIDRs. The CNI configuration decides whether they count: they go to the plugins that
 * declare the capability `ipRanges`, and to no others.
 */
export function updateRuntimeConfig(
  pods: Pods,
): UnaryHandler<UpdateRuntimeConfigRequest__Output, UpdateRuntimeConfigResponse> {
  return async ({ runtime_config }) => {
    await pods.setPodCidrs(runtime_config?.network_config?.pod_cidr ?? "");
    return {};
  };
}
