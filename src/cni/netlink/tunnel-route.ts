import { ipBytes, ipFromBytes, type IpAddress, type IpPrefix } from "../ip.ts";
import { addressFamily } from "./address.ts";
import {
  attribute,
  attributeU32,
  decodeAttributes,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  u32,
  type NetlinkMessage,
} from "./message.ts";
import { RT_TABLE_MAIN, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE } from "./route.ts";

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
const RTPROT_STATIC = 4;
const RTN_UNICAST = 1;
/** The gateway is on the link although no address of the link says so. */
const RTNH_F_ONLINK = 4;

/** A route of the main table into a tunnel. */
export interface TunnelRoute {
  readonly destination: IpPrefix;
  readonly gateway: IpAddress;
  /** The address that the host's own packets go out with. */
  readonly source?: IpAddress;
}

/** Adds a route through a link, with a gateway that need not be in a network of the link. */
export function addTunnelRoute(index: number, route: TunnelRoute): NetlinkMessage {
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    payload: routeBody(index, route),
  };
}

/** Deletes one. */
export function deleteTunnelRoute(index: number, route: TunnelRoute): NetlinkMessage {
  return { type: RTM_DELROUTE, flags: NLM_F_REQUEST | NLM_F_ACK, payload: routeBody(index, route) };
}

/** Asks for a family's routes through one link; older kernels answer with all. */
export function listTunnelRoutes(index: number, family: 4 | 6): NetlinkMessage {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(family), 0);
  return {
    type: RTM_GETROUTE,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    payload: Buffer.concat([header, u32(RTA_OIF, index)]),
  };
}

/** Reads the payload of RTM_NEWROUTE; undefined for what is no route of {@link addTunnelRoute}'s kind. */
export function decodeTunnelRoute(payload: Buffer): (TunnelRoute & { readonly index: number }) | undefined {
  const attributes = decodeAttributes(payload.subarray(12));
  const [destination, gateway] = [attributes.get(RTA_DST), attributes.get(RTA_GATEWAY)];
  const index = attributeU32(attributes.get(RTA_OIF));
  if (destination === undefined || gateway === undefined || index === undefined) return undefined;
  if (payload.readUInt8(4) !== RT_TABLE_MAIN) return undefined;
  const source = attributes.get(RTA_PREFSRC);
  return {
    index,
    destination: { address: ipFromBytes(destination), length: payload.readUInt8(1) },
    gateway: ipFromBytes(gateway),
    ...(source === undefined ? {} : { source: ipFromBytes(source) }),
  };
}

/** struct rtmsg and the attributes. */
function routeBody(index: number, { destination, gateway, source }: TunnelRoute): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(addressFamily(destination.address.family), 0);
  header.writeUInt8(destination.length, 1);
  header.writeUInt8(RT_TABLE_MAIN, 4);
  header.writeUInt8(RTPROT_STATIC, 5);
  header.writeUInt8(RTN_UNICAST, 7);
  header.writeUInt32LE(RTNH_F_ONLINK, 8);
  return Buffer.concat([
    header,
    attribute(RTA_DST, ipBytes(destination.address)),
    u32(RTA_OIF, index),
    attribute(RTA_GATEWAY, ipBytes(gateway)),
    ...(source === undefined ? [] : [attribute(RTA_PREFSRC, ipBytes(source))]),
  ]);
}
