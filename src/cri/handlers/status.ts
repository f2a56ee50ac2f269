import type { RuntimeHealth } from "../runtime-health.ts";
import type { StatusRequest__Output } from "../types/runtime/v1/StatusRequest.ts";
import type { StatusResponse } from "../types/runtime/v1/StatusResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Says whether pods can run, and with `verbose` what is in force. */
export function status(health: RuntimeHealth): UnaryHandler<StatusRequest__Output, StatusResponse> {
  return (request) => {
    const network = health.network();
    const features = health.features();
    return {
      status: {
        conditions: [
          { type: "RuntimeReady", status: true, reason: "", message: "" },
          {
            type: "NetworkReady",
            status: network.ready,
            reason: network.reason,
            message: network.message,
          },
        ],
      },
      info: request.verbose ? verboseInfo(health) : {},
      runtime_handlers: [
        {
          name: "",
          features: {
            recursive_read_only_mounts: features.recursiveReadOnlyMounts,
            user_namespaces: features.userNamespaces,
          },
        },
      ],
      features: { supplemental_groups_policy: true, user_namespaces_host_network: false },
    };
  };
}

/** Key to JSON text, as clients print it. */
function verboseInfo(health: RuntimeHealth): Record<string, string> {
  return Object.fromEntries(
    Object.entries(health.describe()).map(([key, value]) => [key, JSON.stringify(value)]),
  );
}
