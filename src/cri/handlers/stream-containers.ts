import type { Containers } from "../../sandbox/index.ts";
import { containerFilterFromProto } from "../convert/filters.ts";
import type { Encoded } from "../encoded.ts";
import type { Encoders } from "../encoders.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { StreamContainersRequest__Output } from "../types/runtime/v1/StreamContainersRequest.ts";
import type { StreamContainersResponse } from "../types/runtime/v1/StreamContainersResponse.ts";

/** Streams the list of containers as it is when the call comes. */
export function streamContainers(
  containers: Containers,
  { streamContainers: encode }: Encoders,
): StreamHandler<StreamContainersRequest__Output, Encoded<StreamContainersResponse>> {
  return function* (request) {
    for (const one of containers.list(containerFilterFromProto(request.filter))) yield encode(one);
  };
}
