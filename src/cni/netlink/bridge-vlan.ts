import { AF_BRIDGE } from "../../sys/index.ts";
import { RTM_DELLINK, RTM_NEWLINK, RTM_SETLINK } from "./link.ts";
import {
  attribute,
  decodeAttributes,
  nested,
  NLM_F_ACK,
  NLM_F_REQUEST,
  text,
  u16,
  u8,
  type NetlinkMessage,
} from "./message.ts";

const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_VLAN_DEFAULT_PVID = 39;
const IFLA_BRIDGE_FLAGS = 0;
const IFLA_BRIDGE_VLAN_INFO = 2;
/** The port belongs to the bridge's entry, not to a switch of its own (BRIDGE_FLAGS_MASTER). */
const BRIDGE_FLAGS_MASTER = 1;
const BRIDGE_VLAN_INFO_PVID = 0x2;
const BRIDGE_VLAN_INFO_UNTAGGED = 0x4;
const BRIDGE_VLAN_INFO_RANGE_BEGIN = 0x8;
const BRIDGE_VLAN_INFO_RANGE_END = 0x10;

/** VLANs of a port, from the first to the last. */
export interface VlanRange {
  readonly first: number;
  readonly last: number;
}

/** How a bridge keeps VLANs apart. */
export interface BridgeVlans {
  readonly filtering: "on" | "off";
  /** The VLAN that a new port is in; 0 is none. */
  readonly defaultVlan: number;
}

/** Has a bridge keep VLANs apart. */
export function enableVlanFiltering(bridge: number): NetlinkMessage {
  const data = nested(IFLA_INFO_DATA, u8(IFLA_BR_VLAN_FILTERING, 1));
  const info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "bridge"), data);
  return message(RTM_NEWLINK, 0, bridge, info);
}

/** Puts a port into a VLAN whose packets have no tag there, neither those that arrive nor those that leave. */
export function addPortVlan(port: number, vlan: number): NetlinkMessage {
  return message(
    RTM_SETLINK,
    AF_BRIDGE,
    port,
    vlans([vlanInfo(vlan, BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED)]),
  );
}

/** Lets a port have VLANs whose packets are tagged there. */
export function addTrunk(port: number, ranges: readonly VlanRange[]): NetlinkMessage {
  const infos = ranges.flatMap(({ first, last }) =>
    first === last
      ? [vlanInfo(first, 0)]
      : [vlanInfo(first, BRIDGE_VLAN_INFO_RANGE_BEGIN), vlanInfo(last, BRIDGE_VLAN_INFO_RANGE_END)],
  );
  return message(RTM_SETLINK, AF_BRIDGE, port, vlans(infos));
}

/** Takes a port out of a VLAN. */
export function deletePortVlan(port: number, vlan: number): NetlinkMessage {
  return message(RTM_DELLINK, AF_BRIDGE, port, vlans([vlanInfo(vlan, 0)]));
}

/** Reads what RTM_NEWLINK tells of a bridge; a kernel without VLANs tells nothing. */
export function decodeBridgeVlans(payload: Buffer): BridgeVlans {
  const info = decodeAttributes(decodeAttributes(payload.subarray(16)).get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  const data = decodeAttributes(info.get(IFLA_INFO_DATA) ?? Buffer.alloc(0));
  return {
    filtering: data.get(IFLA_BR_VLAN_FILTERING)?.readUInt8(0) === 1 ? "on" : "off",
    defaultVlan: data.get(IFLA_BR_VLAN_DEFAULT_PVID)?.readUInt16LE(0) ?? 0,
  };
}

function vlans(infos: readonly Buffer[]): Buffer {
  return nested(IFLA_AF_SPEC, u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_MASTER), ...infos);
}

/** struct bridge_vlan_info: flags, vid. */
function vlanInfo(vlan: number, flags: number): Buffer {
  const info = Buffer.alloc(4);
  info.writeUInt16LE(flags, 0);
  info.writeUInt16LE(vlan, 2);
  return attribute(IFLA_BRIDGE_VLAN_INFO, info);
}

/** struct ifinfomsg, then the attributes. */
function message(type: number, family: number, index: number, attributes: Buffer): NetlinkMessage {
  const header = Buffer.alloc(16);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  return { type, flags: NLM_F_REQUEST | NLM_F_ACK, payload: Buffer.concat([header, attributes]) };
}
