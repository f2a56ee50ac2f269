import type { HostNetwork } from "../host-network.ts";
import type { Plugin } from "../plugin.ts";
import { bridgePlugin } from "./bridge.ts";
import { hostLocalPlugin } from "./host-local.ts";
import { loopbackPlugin } from "./loopback.ts";
import { portmapPlugin } from "./portmap.ts";

/** Every plugin that needs no program. */
export function builtInPlugins(host: HostNetwork): Plugin[] {
  return [loopbackPlugin(), bridgePlugin(host), hostLocalPlugin(), portmapPlugin(host)];
}
