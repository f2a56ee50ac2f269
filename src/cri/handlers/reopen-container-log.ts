import type { Containers } from "../../sandbox/index.ts";
import type { ReopenContainerLogRequest__Output } from "../types/runtime/v1/ReopenContainerLogRequest.ts";
import type { ReopenContainerLogResponse } from "../types/runtime/v1/ReopenContainerLogResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Makes a container go on in a fresh log file. */
export function reopenContainerLog(
  containers: Containers,
): UnaryHandler<ReopenContainerLogRequest__Output, ReopenContainerLogResponse> {
  return async (request, { signal }) => {
    await containers.reopenLog(request.container_id, signal);
    return {};
  };
}
