import { addressBits, ipBytes, type IpAddress, type IpPrefix } from "../ip.ts";
import { addressFamily } from "./address.ts";
import {
  attribute,
  attributeU32,
  decodeAttributes,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  u32,
  type NetlinkMessage,
} from "./message.ts";

/** rtnetlink(7): message type for routes. */
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;
export const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;

/** A route through one link; the numbers are those of CNI 1.1's result. */
export interface RouteSettings {
  readonly destination: IpPrefix;
  readonly gateway?: IpAddress;
  readonly mtu?: number;
  readonly advertisedMss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
  /** The address that packets get which have none yet. */
  readonly source?: IpAddress;
}

/** Adds a route; without a gateway the destination is on the link. */
export function addRoute(index: number, route: RouteSettings): NetlinkMessage {
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    payload: routeBody(index, route, route.gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE),
  };
}

/** Deletes the route to this destination on a link, whatever its scope is. */
export function deleteRoute(index: number, destination: IpPrefix): NetlinkMessage {
  return {
    type: RTM_DELROUTE,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: routeBody(index, { destination }, RT_SCOPE_NOWHERE),
  };
}

/** Asks which way the kernel would send to an address. */
export function lookUpRoute(address: IpAddress): NetlinkMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(address.family), 0);
  header.writeUInt8(addressBits(address.family), 1);
  return {
    type: RTM_GETROUTE,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: Buffer.concat([header, attribute(RTA_DST, ipBytes(address))]),
  };
}

/** Asks for every route of a family. */
export function listRoutes(family: 4 | 6): NetlinkMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(family), 0);
  return { type: RTM_GETROUTE, flags: NLM_F_REQUEST | NLM_F_DUMP, payload: header };
}

/** A route as the kernel tells of it. */
export interface Route {
  /** Of its destination; 0 is a default route. */
  readonly prefixLength: number;
  readonly table: number;
  /** Index of the link it leads to; undefined where there are several or none. */
  readonly link: number | undefined;
}

/** Reads the payload of RTM_NEWROUTE. */
export function decodeRoute(payload: Buffer): Route {
  const attributes = decodeAttributes(payload.subarray(12));
  return {
    prefixLength: payload.readUInt8(1),
    table: attributeU32(attributes.get(RTA_TABLE)) ?? payload.readUInt8(4),
    link: attributeU32(attributes.get(RTA_OIF)),
  };
}

/** struct rtmsg and the attributes. */
function routeBody(index: number, route: RouteSettings, scope: number): Buffer {
  const { address, length } = route.destination;
  const table = route.table ?? RT_TABLE_MAIN;
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(address.family), 0);
  header.writeUInt8(length, 1);
  header.writeUInt8(table < 256 ? table : 0, 4);
  header.writeUInt8(RTPROT_BOOT, 5);
  header.writeUInt8(route.scope ?? scope, 6);
  header.writeUInt8(RTN_UNICAST, 7);
  const attributes = [u32(RTA_TABLE, table), u32(RTA_OIF, index)];
  if (length > 0) attributes.push(attribute(RTA_DST, ipBytes(address)));
  if (route.gateway !== undefined) attributes.push(attribute(RTA_GATEWAY, ipBytes(route.gateway)));
  if (route.source !== undefined) attributes.push(attribute(RTA_PREFSRC, ipBytes(route.source)));
  if (route.priority !== undefined) attributes.push(u32(RTA_PRIORITY, route.priority));
  const metrics: Buffer[] = [];
  if (route.mtu !== undefined) metrics.push(u32(RTAX_MTU, route.mtu));
  if (route.advertisedMss !== undefined) metrics.push(u32(RTAX_ADVMSS, route.advertisedMss));
  if (metrics.length > 0) attributes.push(nested(RTA_METRICS, ...metrics));
  return Buffer.concat([header, ...attributes]);
}
