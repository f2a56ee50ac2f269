import { ipBytes, type IpAddress, type IpPrefix } from "../ip.ts";
import { addressFamily } from "./address.ts";
import {
  attribute,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  u32,
  type NetlinkMessage,
} from "./message.ts";

/** rtnetlink(7): message type for routes. */
export const RTM_NEWROUTE = 24;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;

/** A route through one link; the numbers are those of CNI 1.1's result. */
export interface RouteSettings {
  readonly destination: IpPrefix;
  readonly gateway?: IpAddress;
  readonly mtu?: number;
  readonly advertisedMss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

/** Adds a route; without a gateway the destination is on the link. */
export function addRoute(index: number, route: RouteSettings): NetlinkMessage {
  const { address, length } = route.destination;
  const table = route.table ?? RT_TABLE_MAIN;
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(address.family), 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(table < 256 ? table : 0, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(route.scope ?? (route.gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE), 6);
  header.writeUInt8(RTN_UNICAST, 7);
  const attributes = [u32(RTA_TABLE, table), u32(RTA_OIF, index)];
  if (length > 0) attributes.push(attribute(RTA_DST, ipBytes(address)));
  if (route.gateway !== undefined) attributes.push(attribute(RTA_GATEWAY, ipBytes(route.gateway)));
  if (route.priority !== undefined) attributes.push(u32(RTA_PRIORITY, route.priority));
  const metrics: Buffer[] = [];
  if (route.mtu !== undefined) metrics.push(u32(RTAX_MTU, route.mtu));
  if (route.advertisedMss !== undefined) metrics.push(u32(RTAX_ADVMSS, route.advertisedMss));
  if (metrics.length > 0) attributes.push(nested(RTA_METRICS, ...metrics));
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    payload: Buffer.concat([header, ...attributes]),
  };
}
