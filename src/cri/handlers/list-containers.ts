import type { Containers } from "../../sandbox/index.ts";
import { containerFilterFromProto } from "../convert/filters.ts";
import { joined, type Encoded } from "../encoded.ts";
import type { Encoders } from "../encoders.ts";
import type { ListContainersRequest__Output } from "../types/runtime/v1/ListContainersRequest.ts";
import type { ListContainersResponse } from "../types/runtime/v1/ListContainersResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Lists containers, from memory. */
export function listContainers(
  containers: Containers,
  { listContainers: encode }: Encoders,
): UnaryHandler<ListContainersRequest__Output, Encoded<ListContainersResponse>> {
  return (request) => joined(containers.list(containerFilterFromProto(request.filter)).map(encode));
}
