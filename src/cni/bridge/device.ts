import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import { formatPrefix, overlaps, sameIp, type IpPrefix } from "../ip.ts";
import {
  addAddress,
  decodeAddress,
  deleteAddress,
  IFA_F_NODAD,
  listAddresses,
  RTM_NEWADDR,
  type LinkAddress,
} from "../netlink/address.ts";
import {
  addBridge,
  decodeLink,
  formatMac,
  getLink,
  IFF_PROMISC,
  IFF_UP,
  setLink,
  type Link,
} from "../netlink/link.ts";
import { requireSuccess, type NetlinkReply, type NetlinkSocket } from "../netlink/socket.ts";
import { writeSysctl } from "../pod-namespace.ts";
import type { BridgeConf } from "./conf.ts";

/** Makes the bridge where it is missing and gives it what the configuration asks: state, mode, gateway addresses. */
export async function ensureBridge(
  rtnetlink: NetlinkSocket,
  conf: BridgeConf,
  addresses: readonly IpPrefix[],
): Promise<Link> {
  const found = (await findLink(rtnetlink, conf.bridge)) ?? (await createBridge(rtnetlink, conf));
  if (found.kind !== "bridge") {
    throw new RuntimeError("failed-precondition", `${conf.bridge} exists and is not a bridge`);
  }
  const flags = IFF_UP | (conf.promiscMode ? IFF_PROMISC : 0);
  // Its own address set anew stays; one that the kernel chose would change as ports come and go.
  await rtnetlink.execute(conf.bridge, [setLink(found.index, { mac: found.mac, flags })]);
  for (const address of addresses) await ensureAddress(rtnetlink, conf, found, address);
  return { ...found, flags: found.flags | flags };
}

/** True where `link` and its addresses are as the configuration asks, so that nothing needs to be done. */
export function isBridgeReady(
  link: Link | undefined,
  present: readonly LinkAddress[],
  conf: BridgeConf,
  addresses: readonly IpPrefix[],
): link is Link {
  if (link?.kind !== "bridge" || (link.flags & IFF_UP) === 0) return false;
  if (conf.promiscMode && (link.flags & IFF_PROMISC) === 0) return false;
  return addresses.every((wanted) => present.some(({ prefix }) => isSamePrefix(prefix, wanted)));
}

/** The link of this name in the socket's namespace; undefined where there is none. */
export async function findLink(rtnetlink: NetlinkSocket, name: string): Promise<Link | undefined> {
  const [reply] = await rtnetlink.request([getLink(name)]);
  return reply === undefined ? undefined : linkOf(name, reply);
}

/** The link in the answer to {@link getLink}; undefined where there is none of that name. */
export function linkOf(name: string, reply: NetlinkReply): Link | undefined {
  if (reply.acknowledgement.errno === constants.errno.ENODEV) return undefined;
  requireSuccess(name, reply);
  const [message] = reply.messages;
  return message === undefined ? undefined : decodeLink(message.payload);
}

/** The addresses of one link in the answer to {@link listAddresses}; older kernels answer with those of every link. */
export function addressesOf(index: number, reply: NetlinkReply | undefined): LinkAddress[] {
  return (reply?.messages ?? [])
    .filter((message) => message.type === RTM_NEWADDR)
    .map((message) => decodeAddress(message.payload))
    .filter((address) => address.index === index);
}

async function createBridge(rtnetlink: NetlinkSocket, conf: BridgeConf): Promise<Link> {
  const settings = {
    name: conf.bridge,
    mac: randomMac(),
    ...(conf.mtu === undefined ? {} : { mtu: conf.mtu }),
  };
  const [reply] = await rtnetlink.request([addBridge(settings)]);
  // EEXIST: another pod's set-up was quicker.
  if (reply !== undefined && !isAlreadyThere(reply)) requireSuccess(conf.bridge, reply);
  // The plugin owns the routes of this link (CVE-2020-10749).
  writeSysctl(`ipv6/conf/${conf.bridge}/accept_ra`, "0");
  const link = await findLink(rtnetlink, conf.bridge);
  if (link === undefined) throw new RuntimeError("internal", `${conf.bridge} is gone again`);
  return link;
}

/** Gives a gateway's link an address; one in its way is an error, or goes where the configuration says so. */
export async function ensureAddress(
  rtnetlink: NetlinkSocket,
  conf: BridgeConf,
  link: Link,
  wanted: IpPrefix,
): Promise<void> {
  const [reply] = await rtnetlink.execute(link.name, [listAddresses(link.index)]);
  for (const { prefix } of addressesOf(link.index, reply)) {
    if (isSamePrefix(prefix, wanted)) return;
    if (!isInTheWay(prefix, wanted)) continue;
    if (!conf.forceAddress) {
      throw new RuntimeError(
        "failed-precondition",
        `${link.name} has the address ${formatPrefix(prefix)} already, not ${formatPrefix(wanted)}`,
      );
    }
    await rtnetlink.execute(link.name, [deleteAddress(link.index, prefix)]);
  }
  const flags = wanted.address.family === 6 ? IFA_F_NODAD : 0;
  const [added] = await rtnetlink.request([addAddress(link.index, wanted, flags)]);
  // EEXIST: another pod's set-up was quicker.
  if (added !== undefined && !isAlreadyThere(added)) requireSuccess(link.name, added);
}

/** A bridge has one IPv4 network; of IPv6 as many as do not overlap (the reference plugin's rule). */
function isInTheWay(present: IpPrefix, wanted: IpPrefix): boolean {
  if (present.address.family !== wanted.address.family) return false;
  return wanted.address.family === 4 || overlaps(present, wanted);
}

function isSamePrefix(a: IpPrefix, b: IpPrefix): boolean {
  return a.length === b.length && sameIp(a.address, b.address);
}

function isAlreadyThere({ acknowledgement }: NetlinkReply): boolean {
  return acknowledgement.errno === constants.errno.EEXIST;
}

/** A hardware address that is locally administered and unicast. */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes.writeUInt8((bytes.readUInt8(0) & 0xfe) | 0x02, 0);
  return formatMac(bytes);
}
