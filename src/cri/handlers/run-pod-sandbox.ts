import type { Pods } from "../../sandbox/index.ts";
import { podConfigFromProto } from "../convert/pod.ts";
import type { RunPodSandboxRequest__Output } from "../types/runtime/v1/RunPodSandboxRequest.ts";
import type { RunPodSandboxResponse } from "../types/runtime/v1/RunPodSandboxResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Makes and starts a pod. */
export function runPodSandbox(pods: Pods): UnaryHandler<RunPodSandboxRequest__Output, RunPodSandboxResponse> {
  return async (request, { signal }) => ({
    pod_sandbox_id: await pods.run(podConfigFromProto(request.config), request.runtime_handler, signal),
  });
}
