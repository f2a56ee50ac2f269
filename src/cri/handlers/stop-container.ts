import type { Containers } from "../../sandbox/index.ts";
import { secondsToMs } from "../convert/fields.ts";
import type { StopContainerRequest__Output } from "../types/runtime/v1/StopContainerRequest.ts";
import type { StopContainerResponse } from "../types/runtime/v1/StopContainerResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Stops a container: its stop signal, then, `timeout` seconds later, SIGKILL. */
export function stopContainer(
  containers: Containers,
): UnaryHandler<StopContainerRequest__Output, StopContainerResponse> {
  return async (request, { signal }) => {
    const timeoutMs = secondsToMs("timeout", request.timeout);
    await containers.stop(request.container_id, timeoutMs, signal);
    return {};
  };
}
