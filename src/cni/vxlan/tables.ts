import { formatIp, formatPrefix } from "../ip.ts";
import type { NetlinkMessage } from "../netlink/message.ts";
import {
  addNeighbour,
  decodeNeighbour,
  deleteNeighbour,
  listNeighbours,
  RTM_NEWNEIGH,
  type Neighbour,
} from "../netlink/neighbour.ts";
import { RTM_NEWROUTE } from "../netlink/route.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import {
  addTunnelRoute,
  decodeTunnelRoute,
  deleteTunnelRoute,
  listTunnelRoutes,
  type TunnelRoute,
} from "../netlink/tunnel-route.ts";
import type { OverlayPlan } from "./plan.ts";

/** Messages in one datagram: what the socket's buffer takes. */
const maxMessages = 200;

/** What hangs on a device now. */
export async function readTables(rtnetlink: NetlinkSocket, index: number): Promise<OverlayPlan> {
  const replies = await rtnetlink.execute(`tables of link ${index}`, [listNeighbours(index, "fdb")]);
  // One dump at a time is what a netlink socket does.
  for (const question of [
    listNeighbours(index, "arp4"),
    listNeighbours(index, "arp6"),
    listTunnelRoutes(index, 4),
    listTunnelRoutes(index, 6),
  ]) {
    replies.push(...(await rtnetlink.execute(`tables of link ${index}`, [question])));
  }
  const messages = replies.flatMap((reply) => reply.messages);
  const own = <T extends { readonly index: number }>(entry: T | undefined): T[] =>
    entry?.index === index ? [entry] : [];
  return {
    neighbours: messages
      .filter(({ type }) => type === RTM_NEWNEIGH)
      .flatMap(({ payload }) => own(decodeNeighbour(payload))),
    routes: messages
      .filter(({ type }) => type === RTM_NEWROUTE)
      .flatMap(({ payload }) => own(decodeTunnelRoute(payload))),
  };
}

/** Makes the device's entries those of the plan; what is right already is not touched. */
export async function writeTables(
  rtnetlink: NetlinkSocket,
  device: { readonly name: string; readonly index: number },
  present: OverlayPlan,
  plan: OverlayPlan,
): Promise<void> {
  const { index } = device;
  const neighbours = difference(present.neighbours, plan.neighbours, neighbourKey);
  const routes = difference(present.routes, plan.routes, routeKey);
  const messages: NetlinkMessage[] = [
    ...routes.stale.map((route) => deleteTunnelRoute(index, route)),
    ...neighbours.stale.map((neighbour) => deleteNeighbour(index, neighbour)),
    ...neighbours.missing.map((neighbour) => addNeighbour(index, neighbour)),
    ...routes.missing.map((route) => addTunnelRoute(index, route)),
  ];
  for (let start = 0; start < messages.length; start += maxMessages) {
    await rtnetlink.execute(device.name, messages.slice(start, start + maxMessages));
  }
}

function difference<T>(
  present: readonly T[],
  wanted: readonly T[],
  keyOf: (entry: T) => string,
): { stale: T[]; missing: T[] } {
  const [presentKeys, wantedKeys] = [present, wanted].map((entries) => new Set(entries.map(keyOf)));
  return {
    stale: present.filter((entry) => !wantedKeys?.has(keyOf(entry))),
    missing: wanted.filter((entry) => !presentKeys?.has(keyOf(entry))),
  };
}

function neighbourKey({ table, mac, address }: Neighbour): string {
  return `${table} ${mac} ${formatIp(address)}`;
}

function routeKey({ destination, gateway, source }: TunnelRoute): string {
  const from = source === undefined ? "" : formatIp(source);
  return `${formatPrefix(destination)} ${formatIp(gateway)} ${from}`;
}
