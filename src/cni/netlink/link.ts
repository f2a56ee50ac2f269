import { AF_BRIDGE } from "../../sys/index.ts";
import {
  attribute,
  attributeText,
  attributeU32,
  decodeAttributes,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  text,
  u8,
  u32,
  type NetlinkMessage,
} from "./message.ts";

/** rtnetlink(7): message types for links. */
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

/** netdevice(7): `ifi_flags`. */
export const IFF_UP = 0x1;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_PROTINFO = 12;
const IFLA_TXQLEN = 13;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN = 7;
const IFLA_BRPORT_MODE = 4;
const IFLA_BRPORT_ISOLATED = 33;
/** Leaves counters out of the answer, which the kernel would have to sum up. */
const RTEXT_FILTER_SKIP_STATS = 8;

/** What may be asked of a link; what is absent is left to the kernel. */
export interface LinkSettings {
  readonly name?: string;
  /** `02:42:…`, six bytes. */
  readonly mac?: string;
  readonly mtu?: number;
  /** Packets that wait to be sent. */
  readonly queueLength?: number;
  /** Index of the bridge it becomes a port of; 0 takes it off. */
  readonly master?: number;
  /** IFF_ bits, and which of them are meant. */
  readonly flags?: number;
  readonly flagsMask?: number;
}

/** The other end of a veth pair. */
export interface PeerSettings extends LinkSettings {
  readonly name: string;
  /** The namespace it is made in; undefined is the socket's. */
  readonly netnsFd?: number;
}

/** A link as the kernel tells of it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly flags: number;
  readonly queueLength: number;
  /** The index of the bridge that it is a port of; 0 is none. */
  readonly master: number;
  /** The peer's index, in the peer's namespace; 0 is none. */
  readonly peer: number;
  /** `bridge`, `veth`...; empty for hardware and loopback. */
  readonly kind: string;
  /** A text that tells people what it is; empty is none. */
  readonly alias: string;
}

/** Makes a bridge. */
export function addBridge(settings: LinkSettings): NetlinkMessage {
  const info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "bridge"));
  return newLink(Buffer.concat([linkHeader(0, 0, settings), linkAttributes(settings), info]));
}

/** Makes a veth pair in one message, its peer straight in the other namespace. */
export function addVeth(settings: LinkSettings, peer: PeerSettings): NetlinkMessage {
  const peerBytes = Buffer.concat([
    linkHeader(0, 0, peer),
    linkAttributes(peer),
    ...(peer.netnsFd === undefined ? [] : [u32(IFLA_NET_NS_FD, peer.netnsFd)]),
  ]);
  const data = nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peerBytes));
  const info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "veth"), data);
  return newLink(Buffer.concat([linkHeader(0, 0, settings), linkAttributes(settings), info]));
}

/** Changes a link that is there. */
export function setLink(index: number, settings: LinkSettings): NetlinkMessage {
  return {
    type: RTM_SETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: Buffer.concat([linkHeader(0, index, settings), linkAttributes(settings)]),
  };
}

/** Gives the link of this name an alias, also one that an earlier message of the same datagram makes. */
export function setLinkAlias(name: string, alias: string): NetlinkMessage {
  return changeByName(RTM_SETLINK, text(IFLA_IFNAME, name), text(IFLA_IFALIAS, alias));
}

/** Sets the flags of a bridge's port. */
export function setBridgePort(
  index: number,
  port: { readonly hairpin: boolean; readonly isolated: boolean },
): NetlinkMessage {
  const info = nested(
    IFLA_PROTINFO,
    u8(IFLA_BRPORT_MODE, Number(port.hairpin)),
    u8(IFLA_BRPORT_ISOLATED, Number(port.isolated)),
  );
  return {
    type: RTM_SETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: Buffer.concat([linkHeader(AF_BRIDGE, index, {}), info]),
  };
}

/** Asks for one link by name. */
export function getLink(name: string): NetlinkMessage {
  const attributes = [text(IFLA_IFNAME, name), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)];
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: Buffer.concat([linkHeader(0, 0, {}), ...attributes]),
  };
}

/** Asks for one link by its index. */
export function getLinkByIndex(index: number): NetlinkMessage {
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: Buffer.concat([linkHeader(0, index, {}), u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)]),
  };
}

/** Asks for every link of a kind; an older kernel answers with those of every kind. */
export function listLinks(kind: string): NetlinkMessage {
  const attributes = [
    u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS),
    nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind)),
  ];
  return {
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST | NLM_F_DUMP,
    payload: Buffer.concat([linkHeader(0, 0, {}), ...attributes]),
  };
}

/** Makes an ifb, which takes over what arrives at another link so that it can be held back. */
export function addIfb(settings: LinkSettings): NetlinkMessage {
  const info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "ifb"));
  return newLink(Buffer.concat([linkHeader(0, 0, settings), linkAttributes(settings), info]));
}

/** How a macvlan's links reach one another (MACVLAN_MODE_ of linux/if_link.h). */
export const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;

/** What a macvlan hangs on, and where it goes. */
export interface MacvlanSettings extends LinkSettings {
  /** Index of the link it hangs on, in the socket's namespace. */
  readonly link: number;
  readonly mode: keyof typeof macvlanModes;
  /** Packets that wait to be broadcast; undefined is the kernel's default. */
  readonly broadcastQueue?: number;
  /** The namespace it is made in. */
  readonly netnsFd: number;
}

/** Makes a macvlan, straight in another namespace. */
export function addMacvlan(settings: MacvlanSettings): NetlinkMessage {
  const { link, mode, broadcastQueue, netnsFd } = settings;
  const data = [u32(IFLA_MACVLAN_MODE, macvlanModes[mode])];
  if (broadcastQueue !== undefined) data.push(u32(IFLA_MACVLAN_BC_QUEUE_LEN, broadcastQueue));
  const info = nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "macvlan"), nested(IFLA_INFO_DATA, ...data));
  return newLink(
    Buffer.concat([
      linkHeader(0, 0, settings),
      linkAttributes(settings),
      u32(IFLA_LINK, link),
      u32(IFLA_NET_NS_FD, netnsFd),
      info,
    ]),
  );
}

/** Deletes a link; a veth's peer goes with it. */
export function deleteLink(index: number): NetlinkMessage {
  return { type: RTM_DELLINK, flags: NLM_F_REQUEST | NLM_F_ACK, payload: linkHeader(0, index, {}) };
}

/** Deletes the link of this name; a veth's peer goes with it. */
export function deleteLinkByName(name: string): NetlinkMessage {
  return changeByName(RTM_DELLINK, text(IFLA_IFNAME, name));
}

/** Puts the link of this name into a group. */
export function setLinkGroup(name: string, group: number): NetlinkMessage {
  return changeByName(RTM_SETLINK, text(IFLA_IFNAME, name), u32(IFLA_GROUP, group));
}

/** Deletes every link of a group at once; a group without links is `ENODEV`. */
export function deleteLinkGroup(group: number): NetlinkMessage {
  return changeByName(RTM_DELLINK, u32(IFLA_GROUP, group));
}

function changeByName(type: number, ...attributes: readonly Buffer[]): NetlinkMessage {
  const payload = Buffer.concat([linkHeader(0, 0, {}), ...attributes]);
  return { type, flags: NLM_F_REQUEST | NLM_F_ACK, payload };
}

/** Reads the payload of RTM_NEWLINK. */
export function decodeLink(payload: Buffer): Link {
  const attributes = decodeAttributes(payload.subarray(16));
  const info = decodeAttributes(attributes.get(IFLA_LINKINFO) ?? Buffer.alloc(0));
  return {
    index: payload.readInt32LE(4),
    flags: payload.readUInt32LE(8),
    name: attributeText(attributes.get(IFLA_IFNAME)),
    mac: formatMac(attributes.get(IFLA_ADDRESS) ?? Buffer.alloc(0)),
    mtu: attributeU32(attributes.get(IFLA_MTU)) ?? 0,
    queueLength: attributeU32(attributes.get(IFLA_TXQLEN)) ?? 0,
    master: attributeU32(attributes.get(IFLA_MASTER)) ?? 0,
    peer: attributeU32(attributes.get(IFLA_LINK)) ?? 0,
    kind: attributeText(info.get(IFLA_INFO_KIND)),
    alias: attributeText(attributes.get(IFLA_IFALIAS)),
  };
}

/** Writes a hardware address as `02:42:ac:11:00:02`. */
export function formatMac(bytes: Buffer): string {
  return (bytes.toString("hex").match(/../g) ?? []).join(":");
}

/** True where a text is a hardware address of six bytes. */
export function isMac(text: string): boolean {
  return /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text);
}

function parseMac(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function newLink(payload: Buffer): NetlinkMessage {
  return { type: RTM_NEWLINK, flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, payload };
}

/** struct ifinfomsg: family, type, index, flags, change mask. */
function linkHeader(family: number, index: number, settings: LinkSettings): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(settings.flags ?? 0, 8);
  header.writeUInt32LE(settings.flagsMask ?? settings.flags ?? 0, 12);
  return header;
}

function linkAttributes(settings: LinkSettings): Buffer {
  const attributes: Buffer[] = [];
  if (settings.name !== undefined) attributes.push(text(IFLA_IFNAME, settings.name));
  if (settings.mac !== undefined) attributes.push(attribute(IFLA_ADDRESS, parseMac(settings.mac)));
  if (settings.mtu !== undefined) attributes.push(u32(IFLA_MTU, settings.mtu));
  if (settings.queueLength !== undefined) attributes.push(u32(IFLA_TXQLEN, settings.queueLength));
  if (settings.master !== undefined) attributes.push(u32(IFLA_MASTER, settings.master));
  return Buffer.concat(attributes);
}
