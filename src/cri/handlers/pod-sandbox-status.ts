import type { Containers, Inspection, Pods } from "../../sandbox/index.ts";
import { joined, type Encoded } from "../encoded.ts";
import type { Encoders } from "../encoders.ts";
import type { PodSandboxStatusRequest__Output } from "../types/runtime/v1/PodSandboxStatusRequest.ts";
import type { PodSandboxStatusResponse } from "../types/runtime/v1/PodSandboxStatusResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** The status of one pod with its containers', from memory; `verbose` adds what helps to debug it. */
export function podSandboxStatus(
  pods: Pods,
  containers: Containers,
  inspection: Inspection,
  { podSandboxStatus: encode }: Encoders,
): UnaryHandler<PodSandboxStatusRequest__Output, Encoded<PodSandboxStatusResponse>> {
  return (request) => {
    const pod = pods.get(request.pod_sandbox_id);
    const statuses = containers.list({ id: "", podId: pod.id, labels: {} }).map(encode.container);
    const rest = encode.rest({
      info: request.verbose ? { info: inspection.pod(pod) } : {},
      timestamp: String(BigInt(Date.now()) * 1_000_000n),
    });
    return joined([encode.pod(pod), ...statuses, rest]);
  };
}
