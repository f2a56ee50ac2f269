import { metricCatalog } from "../../sandbox/index.ts";
import { metricDescriptorToProto } from "../convert/metrics.ts";
import type { ListMetricDescriptorsRequest__Output } from "../types/runtime/v1/ListMetricDescriptorsRequest.ts";
import type { ListMetricDescriptorsResponse } from "../types/runtime/v1/ListMetricDescriptorsResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Describes every metric that ListPodSandboxMetrics may return. */
export function listMetricDescriptors(): UnaryHandler<
  ListMetricDescriptorsRequest__Output,
  ListMetricDescriptorsResponse
> {
  return () => ({ descriptors: metricCatalog.map(metricDescriptorToProto) });
}
