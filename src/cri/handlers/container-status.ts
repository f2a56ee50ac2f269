import type { Containers, Inspection } from "../../sandbox/index.ts";
import { joined, type Encoded } from "../encoded.ts";
import type { Encoders } from "../encoders.ts";
import type { ContainerStatusRequest__Output } from "../types/runtime/v1/ContainerStatusRequest.ts";
import type { ContainerStatusResponse } from "../types/runtime/v1/ContainerStatusResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** The status of one container, from memory; `verbose` adds what helps to debug it. */
export function containerStatus(
  containers: Containers,
  inspection: Inspection,
  { containerStatus: encode }: Encoders,
): UnaryHandler<ContainerStatusRequest__Output, Encoded<ContainerStatusResponse>> {
  return async (request) => {
    const container = containers.get(request.container_id);
    const status = encode.container(container);
    if (!request.verbose) return status;
    const loss = await containers.logLoss(container.id);
    return joined([status, encode.rest({ info: { info: await inspection.container(container, loss) } })]);
  };
}
