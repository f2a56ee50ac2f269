import { RuntimeError } from "../../core/errors.ts";
import {
  formatIp,
  networkOf,
  parseIp,
  parsePrefix,
  plus,
  sameIp,
  type IpAddress,
  type IpPrefix,
} from "../ip.ts";
import type { RouteSettings } from "../netlink/route.ts";
import type { CniIp, CniResult, CniRoute } from "../result.ts";
import type { BridgeConf } from "./conf.ts";

const defaultDestination = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** What the pod gets, and which addresses the bridge needs for it. */
export interface GatewayPlan {
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  /** Addresses of the bridge, with the pods' prefix length; empty where it is no gateway. */
  readonly bridgeAddresses: readonly IpPrefix[];
}

/** Fills in gateways and default routes as the reference plugin does. Throws `invalid-argument` for a contradiction. */
export function planGateways(conf: BridgeConf, addresses: CniResult): GatewayPlan {
  const ips = addresses.ips.map((ip) =>
    conf.isGateway && ip.gateway === undefined ? { ...ip, gateway: firstOf(parsePrefix(ip.address)) } : ip,
  );
  const routes = [...addresses.routes];
  const bridgeAddresses: IpPrefix[] = [];
  for (const ip of ips) {
    if (!conf.isGateway || ip.gateway === undefined) continue;
    const { address, length } = parsePrefix(ip.address);
    bridgeAddresses.push({ address: parseIp(ip.gateway), length });
    if (conf.isDefaultGateway) addDefaultRoute(conf, routes, address.family, ip.gateway);
  }
  return { ips, routes, bridgeAddresses };
}

/** A result's routes for the kernel: one without a gateway goes through that of the pod's address of its family. */
export function routeSettings(routes: readonly CniRoute[], ips: readonly CniIp[]): RouteSettings[] {
  return routes.map((route) => {
    const destination = parsePrefix(route.dst);
    const gateway = route.gw === undefined ? gatewayOf(ips, destination.address.family) : parseIp(route.gw);
    return {
      destination: networkOf(destination),
      ...(gateway === undefined || route.scope === 253 ? {} : { gateway }),
      ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
      ...(route.advmss === undefined ? {} : { advertisedMss: route.advmss }),
      ...(route.priority === undefined ? {} : { priority: route.priority }),
      ...(route.table === undefined ? {} : { table: route.table }),
      ...(route.scope === undefined ? {} : { scope: route.scope }),
    };
  });
}

function gatewayOf(ips: readonly CniIp[], family: 4 | 6): IpAddress | undefined {
  const gateways = ips.flatMap((ip) => (ip.gateway === undefined ? [] : [parseIp(ip.gateway)]));
  return gateways.find((gateway) => gateway.family === family);
}

function addDefaultRoute(conf: BridgeConf, routes: CniRoute[], family: 4 | 6, gateway: string): void {
  const existing = routes.filter((route) => route.dst === defaultDestination[family]);
  for (const { gw } of existing) {
    if (gw !== undefined && !sameIp(parseIp(gw), parseIp(gateway))) {
      throw new RuntimeError(
        "invalid-argument",
        `network ${conf.network}: bridge: isDefaultGateway contradicts the ipam's default route via ${gw}`,
      );
    }
  }
  if (existing.length === 0) routes.push({ dst: defaultDestination[family], gw: gateway });
}

function firstOf(prefix: IpPrefix): string {
  return formatIp(plus(networkOf(prefix).address, 1n));
}
