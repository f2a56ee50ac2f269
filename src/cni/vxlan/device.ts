import { RuntimeError } from "../../core/errors.ts";
import { findLink, linkOf } from "../bridge/device.ts";
import type { HostNetwork } from "../host-network.ts";
import { formatIp, sameIp, type IpAddress } from "../ip.ts";
import { decodeAddress, listAddresses, RTM_NEWADDR, type LinkAddress } from "../netlink/address.ts";
import {
  decodeLink,
  deleteLink,
  getLink,
  getLinkByIndex,
  IFF_UP,
  setLink,
  type Link,
} from "../netlink/link.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { addVxlan, decodeVxlan, type VxlanSettings } from "../netlink/vxlan.ts";
import { writeSysctl } from "../pod-namespace.ts";

/** Bytes that a tunnel adds to a packet: outer IP, UDP, VXLAN and inner Ethernet headers. */
const overheadBytes = { 4: 50, 6: 70 } as const;

/** A device as it should be. */
export interface WantedDevice extends VxlanSettings {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** Index of the bridge it is a port of; 0 is none. */
  readonly master: number;
}

/** Makes the device, or what another configuration made into what this one asks; gives its index. */
export async function ensureDevice(rtnetlink: NetlinkSocket, wanted: WantedDevice): Promise<number> {
  const found = await findDevice(rtnetlink, wanted);
  const index = found ?? (await createDevice(rtnetlink, wanted));
  // Routes of the tunnel are given, never learnt (CVE-2020-10749).
  writeSysctl(`ipv6/conf/${wanted.name}/accept_ra`, "0");
  await rtnetlink.execute(wanted.name, [
    setLink(index, { mtu: wanted.mtu, master: wanted.master, flags: IFF_UP }),
  ]);
  return index;
}

/** Deletes the device and all that hangs on it; one of another kind stays. */
export async function removeDevice(
  { rtnetlink, removals }: Pick<HostNetwork, "rtnetlink" | "removals">,
  name: string,
): Promise<void> {
  if ((await findLink(rtnetlink, name))?.kind === "vxlan") await removals.remove(name);
}

/** Every address of the host. */
export async function hostAddresses(rtnetlink: NetlinkSocket): Promise<LinkAddress[]> {
  const [reply] = await rtnetlink.execute("addresses", [listAddresses(0)]);
  return (reply?.messages ?? [])
    .filter(({ type }) => type === RTM_NEWADDR)
    .map(({ payload }) => decodeAddress(payload));
}

/** What fits into a packet of the link that has the host's address; throws where no link has it. */
export async function tunnelMtu(
  rtnetlink: NetlinkSocket,
  local: IpAddress,
  addresses: readonly LinkAddress[],
): Promise<number> {
  const own = addresses.find(({ prefix }) => sameIp(prefix.address, local));
  if (own === undefined) {
    throw new RuntimeError("failed-precondition", `no link of this host has the address ${formatIp(local)}`);
  }
  const [reply] = await rtnetlink.execute(formatIp(local), [getLinkByIndex(own.index)]);
  const link: Link | undefined = reply?.messages.map(({ payload }) => decodeLink(payload))[0];
  if (link === undefined) throw new RuntimeError("internal", `the link with ${formatIp(local)} is gone`);
  return link.mtu - overheadBytes[local.family];
}

/** The index of a device that is what is wanted; one with other settings is deleted. */
async function findDevice(rtnetlink: NetlinkSocket, wanted: WantedDevice): Promise<number | undefined> {
  const [reply] = await rtnetlink.request([getLink(wanted.name)]);
  const link = reply === undefined ? undefined : linkOf(wanted.name, reply);
  if (link === undefined) return undefined;
  if (link.kind !== "vxlan") {
    throw new RuntimeError("failed-precondition", `${wanted.name} exists and is no vxlan device`);
  }
  const [message] = reply?.messages ?? [];
  const present = message === undefined ? undefined : decodeVxlan(message.payload);
  if (present !== undefined && link.mac === wanted.mac && isSame(present, wanted)) return link.index;
  await rtnetlink.execute(wanted.name, [deleteLink(link.index)]);
  return undefined;
}

async function createDevice(rtnetlink: NetlinkSocket, wanted: WantedDevice): Promise<number> {
  const { name, mac, mtu } = wanted;
  const replies = await rtnetlink.execute(`${name} (vni ${wanted.vni}, port ${wanted.port})`, [
    addVxlan(name, mac, mtu, wanted),
    getLink(name),
  ]);
  const link = replies[1] === undefined ? undefined : linkOf(name, replies[1]);
  if (link === undefined) throw new RuntimeError("internal", `${name} is gone again`);
  return link.index;
}

function isSame(a: VxlanSettings, b: VxlanSettings): boolean {
  return a.vni === b.vni && a.port === b.port && a.learning === b.learning && sameIp(a.local, b.local);
}
