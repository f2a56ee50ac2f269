import { AF_INET, AF_INET6 } from "../../sys/index.ts";
import { addressBits, ipBytes, ipFromBytes, lastOf, type IpPrefix } from "../ip.ts";
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

/** rtnetlink(7): message types for addresses. */
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

/** Added without duplicate address detection: usable at once. */
export const IFA_F_NODAD = 0x02;
/** Without the route to its subnet. */
export const IFA_F_NOPREFIXROUTE = 0x200;
export const IFA_F_DADFAILED = 0x08;
/** Duplicate address detection is still under way. */
export const IFA_F_TENTATIVE = 0x40;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;

/** An address of a link as the kernel tells of it. */
export interface LinkAddress {
  readonly index: number;
  readonly prefix: IpPrefix;
  /** RT_SCOPE_: 0 is global, 253 link-local, 254 host. */
  readonly scope: number;
  readonly flags: number;
}

/** Gives a link an address; IPv4 with the network's broadcast address, as ip-address(8) does with `brd +`. */
export function addAddress(index: number, prefix: IpPrefix, flags: number): NetlinkMessage {
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    payload: Buffer.concat([addressBody(index, prefix), u32(IFA_FLAGS, flags)]),
  };
}

/** Takes an address off a link. */
export function deleteAddress(index: number, prefix: IpPrefix): NetlinkMessage {
  return { type: RTM_DELADDR, flags: NLM_F_REQUEST | NLM_F_ACK, payload: addressBody(index, prefix) };
}

/** Asks for every address of one link, which takes a socket with NETLINK_GET_STRICT_CHK. */
export function listAddresses(index: number): NetlinkMessage {
  return {
    type: RTM_GETADDR,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    payload: addressHeader(0, 0, index),
  };
}

/** Reads the payload of RTM_NEWADDR. */
export function decodeAddress(payload: Buffer): LinkAddress {
  const attributes = decodeAttributes(payload.subarray(8));
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? Buffer.alloc(4);
  return {
    index: payload.readUInt32LE(4),
    prefix: { address: ipFromBytes(bytes), length: payload.readUInt8(1) },
    scope: payload.readUInt8(3),
    flags: attributeU32(attributes.get(IFA_FLAGS)) ?? payload.readUInt8(2),
  };
}

/** The address family's number in the socket API. */
export function addressFamily(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}

function addressBody(index: number, prefix: IpPrefix): Buffer {
  const { family } = prefix.address;
  const bytes = ipBytes(prefix.address);
  const attributes = [attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
  if (family === 4 && prefix.length < addressBits(4) - 1) {
    attributes.push(attribute(IFA_BROADCAST, ipBytes(lastOf(prefix))));
  }
  return Buffer.concat([addressHeader(addressFamily(family), prefix.length, index), ...attributes]);
}

/** struct ifaddrmsg: family, prefix length, flags, scope, index. */
function addressHeader(family: number, prefixLength: number, index: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(family, 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt32LE(index, 4);
  return header;
}
