import type { HostNetwork } from "../host-network.ts";
import type { Plugin } from "../plugin.ts";
import { bandwidthPlugin } from "./bandwidth.ts";
import { bridgePlugin } from "./bridge.ts";
import { firewallPlugin } from "./firewall.ts";
import { hostLocalPlugin } from "./host-local.ts";
import { loopbackPlugin } from "./loopback.ts";
import { macvlanPlugin } from "./macvlan.ts";
import { portmapPlugin } from "./portmap.ts";
import { ptpPlugin } from "./ptp.ts";
import { staticPlugin } from "./static.ts";
import { tuningPlugin } from "./tuning.ts";

/** Every plugin that needs no program. */
export function builtInPlugins(host: HostNetwork): Plugin[] {
  return [
    loopbackPlugin(),
    bridgePlugin(host),
    ptpPlugin(host),
    macvlanPlugin(host),
    hostLocalPlugin(),
    staticPlugin(),
    portmapPlugin(host),
    tuningPlugin(),
    bandwidthPlugin(host),
    firewallPlugin(host),
  ];
}
