import type { Containers } from "../../sandbox/index.ts";
import { containerToProto } from "../convert/container.ts";
import { containerFilterFromProto } from "../convert/filters.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { Container } from "../types/runtime/v1/Container.ts";
import type { StreamContainersRequest__Output } from "../types/runtime/v1/StreamContainersRequest.ts";

/** Streams the list of containers as it is when the call comes. */
export function streamContainers(
  containers: Containers,
): StreamHandler<StreamContainersRequest__Output, Container> {
  return function* (request) {
    for (const one of containers.list(containerFilterFromProto(request.filter))) yield containerToProto(one);
  };
}
