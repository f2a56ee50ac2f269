import type { Containers } from "../../sandbox/index.ts";
import type { StartContainerRequest__Output } from "../types/runtime/v1/StartContainerRequest.ts";
import type { StartContainerResponse } from "../types/runtime/v1/StartContainerResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Starts a created container. */
export function startContainer(
  containers: Containers,
): UnaryHandler<StartContainerRequest__Output, StartContainerResponse> {
  return async (request, { signal }) => {
    await containers.start(request.container_id, signal);
    return {};
  };
}
