import type { Containers } from "../../sandbox/index.ts";
import { containerToProto } from "../convert/container.ts";
import { containerFilterFromProto } from "../convert/filters.ts";
import type { ListContainersRequest__Output } from "../types/runtime/v1/ListContainersRequest.ts";
import type { ListContainersResponse } from "../types/runtime/v1/ListContainersResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Lists containers, from memory. */
export function listContainers(
  containers: Containers,
): UnaryHandler<ListContainersRequest__Output, ListContainersResponse> {
  return (request) => ({
    containers: containers.list(containerFilterFromProto(request.filter)).map(containerToProto),
  });
}
