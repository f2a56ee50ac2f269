import {
  attribute,
  decodeAttributes,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  type NetlinkMessage,
} from "./message.ts";
import { addressFamily } from "./address.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const CTA_TUPLE_ORIG = 1;
const CTA_ID = 12;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;

/** A connection as the kernel tracks it: what its first packet was sent to. */
export interface TrackedConnection {
  /** IPPROTO_: 17 is UDP. */
  readonly protocol: number;
  readonly destinationPort: number;
  /** The attributes by which it is deleted: the original tuple and the id. */
  readonly handle: { readonly tuple: Buffer; readonly id: Buffer | undefined };
}

/** Asks for every tracked connection of a family. */
export function listConnections(family: 4 | 6): NetlinkMessage {
  return message(IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, family, Buffer.alloc(0));
}

/** Reads the payload of an answer to {@link listConnections}; undefined where it has no ports. */
export function decodeConnection(payload: Buffer): TrackedConnection | undefined {
  const attributes = decodeAttributes(payload.subarray(4));
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  if (tuple === undefined) return undefined;
  const protocol = decodeAttributes(decodeAttributes(tuple).get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const number = protocol.get(CTA_PROTO_NUM);
  const port = protocol.get(CTA_PROTO_DST_PORT);
  if (number === undefined || port === undefined) return undefined;
  return {
    protocol: number.readUInt8(0),
    destinationPort: port.readUInt16BE(0),
    handle: { tuple, id: attributes.get(CTA_ID) },
  };
}

/** Forgets one connection; one that has ended meanwhile answers `ENOENT`. */
export function deleteConnection(family: 4 | 6, { handle }: TrackedConnection): NetlinkMessage {
  // NLA_F_NESTED: the tuple holds attributes.
  const attributes = [attribute(CTA_TUPLE_ORIG | 0x8000, handle.tuple)];
  if (handle.id !== undefined) attributes.push(attribute(CTA_ID, handle.id));
  return message(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST | NLM_F_ACK, family, Buffer.concat(attributes));
}

/** struct nfgenmsg: family, version 0, resource id 0; then the attributes. */
function message(type: number, flags: number, family: 4 | 6, attributes: Buffer): NetlinkMessage {
  const header = Buffer.of(addressFamily(family), 0, 0, 0);
  return { type: (NFNL_SUBSYS_CTNETLINK << 8) | type, flags, payload: Buffer.concat([header, attributes]) };
}
