import { createHash } from "node:crypto";
import { formatIp, sameIp, type IpAddress } from "../ip.ts";
import { formatMac } from "../netlink/link.ts";
import type { Neighbour } from "../netlink/neighbour.ts";
import type { TunnelRoute } from "../netlink/tunnel-route.ts";
import type { VxlanMode } from "./conf.ts";
import type { Peer } from "./peers.ts";

/** What the device needs to reach the other hosts. */
export interface OverlayPlan {
  readonly neighbours: readonly Neighbour[];
  readonly routes: readonly TunnelRoute[];
}

/** Addresses that the host's own packets to the overlay go out with, one a family at most. */
export type Sources = readonly IpAddress[];

/** Where a frame goes whose destination is not known: to every host. */
const anyMac = "00:00:00:00:00:00";

/** A device's hardware address: made of what every host knows, so that it need not be told. */
export function tunnelMac(vni: number, address: IpAddress): string {
  const hash = createHash("sha256")
    .update(`berth vxlan ${vni} ${formatIp(address)}`)
    .digest();
  return formatMac(Buffer.concat([Buffer.of(0x0e), hash.subarray(0, 5)]));
}

/** The entries for all hosts but this one. */
export function planOverlay(
  overlay: { readonly vni: number; readonly mode: VxlanMode },
  local: IpAddress,
  peers: readonly Peer[],
  sources: Sources,
): OverlayPlan {
  const others = peers.filter(({ address }) => !sameIp(address, local));
  if (overlay.mode === "bridged") {
    return { neighbours: others.map(({ address }) => ({ table: "fdb", mac: anyMac, address })), routes: [] };
  }
  const neighbours: Neighbour[] = [];
  const routes: TunnelRoute[] = [];
  for (const { address, subnets } of others) {
    const mac = tunnelMac(overlay.vni, address);
    neighbours.push({ table: "fdb", mac, address });
    for (const destination of subnets) {
      const gateway = destination.address.family === 4 ? destination.address : linkLocal(mac);
      const source = sources.find(({ family }) => family === gateway.family);
      routes.push({ destination, gateway, ...(source === undefined ? {} : { source }) });
      if (!neighbours.some((known) => known.table === "arp" && sameIp(known.address, gateway))) {
        neighbours.push({ table: "arp", mac, address: gateway });
      }
    }
  }
  return { neighbours, routes };
}

/** The link-local address of a hardware address (RFC 4291, appendix A): IPv6 wants a gateway of the link itself. */
function linkLocal(mac: string): IpAddress {
  const bytes = Buffer.from(mac.replaceAll(":", ""), "hex");
  const identifier = Buffer.concat([bytes.subarray(0, 3), Buffer.of(0xff, 0xfe), bytes.subarray(3)]);
  identifier.writeUInt8(identifier.readUInt8(0) ^ 0x02, 0);
  return { family: 6, value: (0xfe80n << 112n) | identifier.readBigUInt64BE(0) };
}
