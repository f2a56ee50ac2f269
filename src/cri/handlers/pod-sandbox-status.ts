import type { Containers, Inspection, Pods } from "../../sandbox/index.ts";
import { containerStatusToProto } from "../convert/container.ts";
import { podStatusToProto } from "../convert/pod.ts";
import type { PodSandboxStatusRequest__Output } from "../types/runtime/v1/PodSandboxStatusRequest.ts";
import type { PodSandboxStatusResponse } from "../types/runtime/v1/PodSandboxStatusResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** The status of one pod with its containers', from memory; `verbose` adds what helps to debug it. */
export function podSandboxStatus(
  pods: Pods,
  containers: Containers,
  inspection: Inspection,
): UnaryHandler<PodSandboxStatusRequest__Output, PodSandboxStatusResponse> {
  return (request) => {
    const pod = pods.get(request.pod_sandbox_id);
    return {
      status: podStatusToProto(pod),
      info: request.verbose ? { info: inspection.pod(pod) } : {},
      containers_statuses: containers.list({ id: "", podId: pod.id, labels: {} }).map(containerStatusToProto),
      timestamp: String(BigInt(Date.now()) * 1_000_000n),
    };
  };
}
