import type { Containers } from "../../sandbox/index.ts";
import type { RemoveContainerRequest__Output } from "../types/runtime/v1/RemoveContainerRequest.ts";
import type { RemoveContainerResponse } from "../types/runtime/v1/RemoveContainerResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Removes a container, killing it where it runs. */
export function removeContainer(
  containers: Containers,
): UnaryHandler<RemoveContainerRequest__Output, RemoveContainerResponse> {
  return async (request, { signal }) => {
    await containers.remove(request.container_id, signal);
    return {};
  };
}
