import type { RuntimeHealth } from "../runtime-health.ts";
import type { InfoRequest__Output } from "../types/berth/v1/InfoRequest.ts";
import type { InfoResponse } from "../types/berth/v1/InfoResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Describes the daemon to a person. */
export function info(health: RuntimeHealth): UnaryHandler<InfoRequest__Output, InfoResponse> {
  return () => ({ json: JSON.stringify(health.describe()) });
}
