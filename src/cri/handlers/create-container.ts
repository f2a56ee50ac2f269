import type { Containers } from "../../sandbox/index.ts";
import { containerConfigFromProto } from "../convert/container.ts";
import type { CreateContainerRequest__Output } from "../types/runtime/v1/CreateContainerRequest.ts";
import type { CreateContainerResponse } from "../types/runtime/v1/CreateContainerResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Makes a container that waits to be started. */
export function createContainer(
  containers: Containers,
): UnaryHandler<CreateContainerRequest__Output, CreateContainerResponse> {
  return async (request, { signal }) => ({
    container_id: await containers.create(
      request.pod_sandbox_id,
      containerConfigFromProto(request.config),
      signal,
    ),
  });
}
