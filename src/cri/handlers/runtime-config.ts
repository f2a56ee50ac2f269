import type { RuntimeConfigRequest__Output } from "../types/runtime/v1/RuntimeConfigRequest.ts";
import type { RuntimeConfigResponse } from "../types/runtime/v1/RuntimeConfigResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Tells the kubelet which cgroup driver to use (KEP-4033). */
export function runtimeConfig(): UnaryHandler<RuntimeConfigRequest__Output, RuntimeConfigResponse> {
  return () => ({ linux: { cgroup_driver: "CGROUPFS" } });
}
