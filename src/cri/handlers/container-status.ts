import type { Containers, Inspection } from "../../sandbox/index.ts";
import { containerStatusToProto } from "../convert/container.ts";
import type { ContainerStatusRequest__Output } from "../types/runtime/v1/ContainerStatusRequest.ts";
import type { ContainerStatusResponse } from "../types/runtime/v1/ContainerStatusResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** The status of one container, from memory; `verbose` adds what helps to debug it. */
export function containerStatus(
  containers: Containers,
  inspection: Inspection,
): UnaryHandler<ContainerStatusRequest__Output, ContainerStatusResponse> {
  return async (request) => {
    const container = containers.get(request.container_id);
    if (!request.verbose) return { status: containerStatusToProto(container), info: {} };
    const loss = await containers.logLoss(container.id);
    return {
      status: containerStatusToProto(container),
      info: { info: await inspection.container(container, loss) },
    };
  };
}
