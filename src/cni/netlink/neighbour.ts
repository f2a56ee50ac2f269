import { AF_BRIDGE } from "../../sys/index.ts";
import { ipBytes, ipFromBytes, type IpAddress } from "../ip.ts";
import { addressFamily } from "./address.ts";
import { formatMac } from "./link.ts";
import {
  attribute,
  decodeAttributes,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  u32,
  type NetlinkMessage,
} from "./message.ts";

/** rtnetlink(7): message types for neighbours and for bridges' forwarding tables. */
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

const NLM_F_APPEND = 0x800;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const NUD_PERMANENT = 0x80;
/** The device's own forwarding table, not that of a bridge it is a port of. */
const NTF_SELF = 0x02;

/** `arp`: an address and its hardware address. `fdb`: a hardware address and the host behind which it is. */
export interface Neighbour {
  readonly table: "arp" | "fdb";
  readonly mac: string;
  readonly address: IpAddress;
}

/** Adds a permanent entry; a hardware address may have several hosts in a forwarding table. */
export function addNeighbour(index: number, neighbour: Neighbour): NetlinkMessage {
  const more = neighbour.table === "fdb" ? NLM_F_APPEND : NLM_F_REPLACE;
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | more,
    payload: neighbourBody(index, neighbour),
  };
}

/** Takes an entry away. */
export function deleteNeighbour(index: number, neighbour: Neighbour): NetlinkMessage {
  return {
    type: RTM_DELNEIGH,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: neighbourBody(index, neighbour),
  };
}

/** Asks for the entries of one link; older kernels answer with those of every link. */
export function listNeighbours(index: number, table: "arp4" | "arp6" | "fdb"): NetlinkMessage {
  const header = Buffer.alloc(12);
  const family = table === "fdb" ? AF_BRIDGE : addressFamily(table === "arp4" ? 4 : 6);
  header.writeUInt8(family, 0);
  if (table === "fdb") header.writeInt32LE(index, 4);
  const filter = table === "fdb" ? [] : [u32(NDA_IFINDEX, index)];
  return {
    type: RTM_GETNEIGH,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    payload: Buffer.concat([header, ...filter]),
  };
}

/** Reads the payload of RTM_NEWNEIGH; undefined where the entry is not permanent or has no address. */
export function decodeNeighbour(payload: Buffer): (Neighbour & { readonly index: number }) | undefined {
  const attributes = decodeAttributes(payload.subarray(12));
  const [address, mac] = [attributes.get(NDA_DST), attributes.get(NDA_LLADDR)];
  const isPermanent = (payload.readUInt16LE(8) & NUD_PERMANENT) !== 0;
  if (!isPermanent || address === undefined || mac === undefined) return undefined;
  return {
    table: payload.readUInt8(0) === AF_BRIDGE ? "fdb" : "arp",
    index: payload.readInt32LE(4),
    mac: formatMac(mac),
    address: ipFromBytes(address),
  };
}

/** struct ndmsg (family, link, state, flags) and the two addresses. */
function neighbourBody(index: number, { table, mac, address }: Neighbour): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(table === "fdb" ? AF_BRIDGE : addressFamily(address.family), 0);
  header.writeInt32LE(index, 4);
  header.writeUInt16LE(NUD_PERMANENT, 8);
  header.writeUInt8(table === "fdb" ? NTF_SELF : 0, 10);
  return Buffer.concat([
    header,
    attribute(NDA_DST, ipBytes(address)),
    attribute(NDA_LLADDR, Buffer.from(mac.replaceAll(":", ""), "hex")),
  ]);
}
