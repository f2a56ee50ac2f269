import type { UpdateRuntimeConfigRequest__Output } from "../types/runtime/v1/UpdateRuntimeConfigRequest.ts";
import type { UpdateRuntimeConfigResponse } from "../types/runtime/v1/UpdateRuntimeConfigResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/**
 * Takes note of the node's pod CIDR and does nothing: the CNI configuration is what decides addresses, as with CRI-O.
 */
export function updateRuntimeConfig(): UnaryHandler<
  UpdateRuntimeConfigRequest__Output,
  UpdateRuntimeConfigResponse
> {
  return () => ({});
}
