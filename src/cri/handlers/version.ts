import type { VersionRequest__Output } from "../types/runtime/v1/VersionRequest.ts";
import type { VersionResponse } from "../types/runtime/v1/VersionResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** `version` is the kubelet's own API version: it compares it with exactly this text. */
const kubeletApiVersion = "0.1.0";

/** Says who serves; `runtime_name` becomes the prefix of every container id in a pod's status and never changes. */
export function version(runtimeVersion: string): UnaryHandler<VersionRequest__Output, VersionResponse> {
  return () => ({
    version: kubeletApiVersion,
    runtime_name: "berth",
    runtime_version: runtimeVersion,
    runtime_api_version: "v1",
  });
}
