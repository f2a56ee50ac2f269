import type { Containers } from "../../sandbox/index.ts";
import { required } from "../convert/fields.ts";
import { resourceChangeFromProto } from "../convert/resources.ts";
import type { UpdateContainerResourcesRequest__Output } from "../types/runtime/v1/UpdateContainerResourcesRequest.ts";
import type { UpdateContainerResourcesResponse } from "../types/runtime/v1/UpdateContainerResourcesResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Changes what a container may use; what the request leaves out stays. */
export function updateContainerResources(
  containers: Containers,
): UnaryHandler<UpdateContainerResourcesRequest__Output, UpdateContainerResourcesResponse> {
  return async (request, { signal }) => {
    const linux = required("linux", request.linux);
    await containers.update(request.container_id, resourceChangeFromProto("linux", linux), signal);
    return {};
  };
}
