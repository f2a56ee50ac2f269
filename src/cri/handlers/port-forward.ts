import { RuntimeError } from "../../core/errors.ts";
import type { Pods } from "../../sandbox/index.ts";
import { checkPorts, type StreamingServer } from "../streaming/index.ts";
import type { PortForwardRequest__Output } from "../types/runtime/v1/PortForwardRequest.ts";
import type { PortForwardResponse } from "../types/runtime/v1/PortForwardResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** A URL at which a client can reach ports of a pod, in one session and begun within a minute. */
export function portForward(
  pods: Pods,
  streaming: StreamingServer,
): UnaryHandler<PortForwardRequest__Output, PortForwardResponse> {
  return (request) => {
    checkPorts(request.port);
    const pod = pods.get(request.pod_sandbox_id);
    if (pod.state.state !== "ready") {
      throw new RuntimeError("failed-precondition", `pod ${pod.id} is ${pod.state.state}, not ready`);
    }
    return { url: streaming.portForward({ podId: pod.id, ports: request.port }) };
  };
}
