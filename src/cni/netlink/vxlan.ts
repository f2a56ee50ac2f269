import { addressBits, ipBytes, ipFromBytes, type IpAddress } from "../ip.ts";
import { RTM_NEWLINK } from "./link.ts";
import {
  attribute,
  attributeU32,
  decodeAttributes,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  text,
  u8,
  u32,
  type NetlinkMessage,
} from "./message.ts";

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_LOCAL6 = 17;

/** What makes a tunnel what it is: with another of these it is another device. */
export interface VxlanSettings {
  /** The overlay's number, 24 bits. */
  readonly vni: number;
  /** UDP port, the same on every host. */
  readonly port: number;
  /** The host's own address, from which packets go to the others. */
  readonly local: IpAddress;
  /** Whether the device learns from what arrives where a hardware address is; a routed overlay knows them all. */
  readonly learning: "on" | "off";
}

/** Makes a VXLAN device (RFC 7348) without a default destination. */
export function addVxlan(name: string, mac: string, mtu: number, settings: VxlanSettings): NetlinkMessage {
  const { vni, port, local, learning } = settings;
  const bigEndianPort = Buffer.alloc(2);
  bigEndianPort.writeUInt16BE(port);
  const data = nested(
    IFLA_INFO_DATA,
    u32(IFLA_VXLAN_ID, vni),
    attribute(local.family === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, ipBytes(local)),
    attribute(IFLA_VXLAN_PORT, bigEndianPort),
    u8(IFLA_VXLAN_LEARNING, learning === "on" ? 1 : 0),
  );
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    payload: Buffer.concat([
      // struct ifinfomsg
      Buffer.alloc(16),
      text(IFLA_IFNAME, name),
      attribute(IFLA_ADDRESS, Buffer.from(mac.replaceAll(":", ""), "hex")),
      u32(IFLA_MTU, mtu),
      nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "vxlan"), data),
    ]),
  };
}

/** Reads what RTM_NEWLINK tells of a VXLAN device; undefined where an address is missing. */
export function decodeVxlan(payload: Buffer): VxlanSettings | undefined {
  const info = decodeAttributes(decodeAttributes(payload.subarray(16)).get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  const data = decodeAttributes(info.get(IFLA_INFO_DATA) ?? Buffer.alloc(0));
  const local = data.get(IFLA_VXLAN_LOCAL) ?? data.get(IFLA_VXLAN_LOCAL6);
  if (local === undefined || local.length * 8 < addressBits(4)) return undefined;
  return {
    vni: attributeU32(data.get(IFLA_VXLAN_ID)) ?? 0,
    port: data.get(IFLA_VXLAN_PORT)?.readUInt16BE(0) ?? 0,
    local: ipFromBytes(local),
    learning: data.get(IFLA_VXLAN_LEARNING)?.readUInt8(0) === 1 ? "on" : "off",
  };
}
