import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeError } from "../../core/errors.ts";
import { formatPrefix, ipBytes, parsePrefix, type IpPrefix } from "../ip.ts";
import {
  addAddress,
  IFA_F_DADFAILED,
  IFA_F_NODAD,
  IFA_F_TENTATIVE,
  listAddresses,
} from "../netlink/address.ts";
import type { LinkRemovals } from "../link-removals.ts";
import {
  addVeth,
  deleteLink,
  formatMac,
  getLink,
  IFF_UP,
  setBridgePort,
  setLink,
  setLinkAlias,
  type Link,
} from "../netlink/link.ts";
import { addRoute } from "../netlink/route.ts";
import { requireSuccess, type NetlinkSocket } from "../netlink/socket.ts";
import type { PodNamespace } from "../pod-namespace.ts";
import type { CniIp } from "../result.ts";
import type { BridgeConf } from "./conf.ts";
import { addressesOf, findLink, isBridgeReady, linkOf, randomMac } from "./device.ts";
import { routeSettings, type GatewayPlan } from "./gateways.ts";
import { setPortVlans } from "./vlan.ts";

/** What a pod's veth is called: its two ends, and the alias of the host's, by which garbage collection knows it. */
export interface VethNames {
  readonly host: string;
  readonly pod: string;
  readonly alias: string;
}

/** A veth pair whose host end is a port of the bridge. */
export interface VethPair {
  readonly bridge: Link;
  readonly host: Link;
  readonly podMac: string;
  /** The pod's end, in the pod's namespace. */
  readonly podIndex: number;
}

/** How long duplicate address detection may take, and the time between two looks, in milliseconds. */
const settleLimitMs = 10_000;
const settleDelayMs = 20;

/**
 * Makes the pair as a port of `bridgeIndex` and verifies the bridge, all with one datagram. Gives undefined, with
 * nothing left behind, where the bridge is not what the configuration asks: it must be made ready first.
 */
export async function connectPod(
  rtnetlink: NetlinkSocket,
  namespace: PodNamespace,
  conf: BridgeConf,
  plan: GatewayPlan,
  names: VethNames,
  bridgeIndex: number,
): Promise<VethPair | undefined> {
  const mtu = conf.mtu === undefined ? {} : { mtu: conf.mtu };
  const podMac = conf.mac ?? macOf(plan.ips);
  const [bridgeReply, vethReply, aliasReply, hostReply, addressReply] = await rtnetlink.request([
    getLink(conf.bridge),
    addVeth(
      { name: names.host, mac: randomMac(), master: bridgeIndex, flags: IFF_UP, ...mtu },
      { name: names.pod, mac: podMac, netnsFd: namespace.fd, ...mtu },
    ),
    setLinkAlias(names.host, names.alias),
    getLink(names.host),
    listAddresses(bridgeIndex),
  ]);
  if (bridgeReply === undefined || vethReply === undefined || hostReply === undefined) return undefined;
  const bridge = linkOf(conf.bridge, bridgeReply);
  const isAdded = vethReply.acknowledgement.errno === 0;
  const host = linkOf(names.host, hostReply);
  const addresses = addressesOf(bridgeIndex, addressReply);
  await using undo = new AsyncDisposableStack();
  if (isAdded && host !== undefined) {
    undo.defer(() => deleteByIndex(rtnetlink, host.index, names.host));
  }
  if (bridge?.index !== bridgeIndex || !isBridgeReady(bridge, addresses, conf, plan.bridgeAddresses)) {
    return undefined;
  }
  requireSuccess(`${names.host}, ${names.pod}`, vethReply);
  if (aliasReply !== undefined) requireSuccess(names.host, aliasReply);
  if (host === undefined) throw new RuntimeError("internal", `${names.host} is gone again`);
  if (conf.hairpinMode || conf.portIsolation) {
    const port = { hairpin: conf.hairpinMode, isolated: conf.portIsolation };
    await rtnetlink.execute(names.host, [setBridgePort(host.index, port)]);
  }
  // The pod's end is down still: nothing passes by another VLAN.
  if (conf.vlans !== undefined) await setPortVlans(rtnetlink, bridge, host, conf.vlans);
  undo.move();
  return { bridge, host, podMac, podIndex: host.peer };
}

/** Gives the pod's end its addresses, sets it up and adds the routes, all with one datagram. */
export async function configurePod(
  namespace: PodNamespace,
  conf: BridgeConf,
  plan: GatewayPlan,
  pair: VethPair,
  signal: AbortSignal,
): Promise<void> {
  const index = pair.podIndex;
  const addresses = plan.ips.map((ip) => parsePrefix(ip.address));
  const replies = await namespace.rtnetlink.request([
    ...addresses.map((address) =>
      addAddress(index, address, address.address.family === 6 && !conf.enableDad ? IFA_F_NODAD : 0),
    ),
    // After the addresses, so that coming up announces them (arp_notify).
    setLink(index, { flags: conf.podLink === "up" ? IFF_UP : 0 }),
    ...routeSettings(plan.routes, plan.ips).map((route) => addRoute(index, route)),
  ]);
  const routesStart = addresses.length + 1;
  for (const [position, reply] of replies.entries()) {
    const isRoute = position >= routesStart;
    // The same route may come from an address or from the ipam twice.
    if (isRoute && reply.acknowledgement.errno === constants.errno.EEXIST) continue;
    const subject = plan.ips[position]?.address ?? plan.routes[position - routesStart]?.dst ?? "link";
    requireSuccess(`${subject} in ${namespace.path}`, reply);
  }
  if (conf.enableDad) await settleAddresses(namespace, index, addresses, signal);
}

/** Deletes the pair, wherever an end of it can be found. The kernel takes 20 to 50 ms for it. */
export async function disconnectPod(
  removals: LinkRemovals,
  namespace: PodNamespace | undefined,
  names: Pick<VethNames, "host" | "pod">,
): Promise<void> {
  if ((await removals.remove(names.host)) === "removed") return;
  // Made under another name, by the reference plugin before this runtime took over.
  if (namespace !== undefined) await deleteByName(namespace.rtnetlink, names.pod);
}

/** Cuts the pod off at once, with the link still there: its host end is down and no port any more. */
export async function silencePod(rtnetlink: NetlinkSocket, hostName: string): Promise<"silent" | "absent"> {
  const link = await findLink(rtnetlink, hostName);
  if (link === undefined) return "absent";
  const [reply] = await rtnetlink.request([setLink(link.index, { master: 0, flags: 0, flagsMask: IFF_UP })]);
  if (reply?.acknowledgement.errno === constants.errno.ENODEV) return "absent";
  if (reply !== undefined) requireSuccess(hostName, reply);
  return "silent";
}

/** Deletes a link where there is one of this name; tells whether there was. */
export async function deleteByName(rtnetlink: NetlinkSocket, name: string): Promise<boolean> {
  const link = await findLink(rtnetlink, name);
  if (link === undefined) return false;
  await deleteByIndex(rtnetlink, link.index, name);
  return true;
}

async function deleteByIndex(rtnetlink: NetlinkSocket, index: number, name: string): Promise<void> {
  const [reply] = await rtnetlink.request([deleteLink(index)]);
  // ENODEV: it went with its namespace in between.
  if (reply !== undefined && reply.acknowledgement.errno !== constants.errno.ENODEV)
    requireSuccess(name, reply);
}

/**
 * A hardware address made of the IPv4 address: one that is given out again keeps it, so that no neighbour sends to a
 * link that is gone. Without IPv4 a random one.
 */
function macOf(ips: readonly CniIp[]): string {
  const address = ips.map((ip) => parsePrefix(ip.address).address).find(({ family }) => family === 4);
  return address === undefined
    ? randomMac()
    : formatMac(Buffer.concat([Buffer.of(0x0a, 0x58), ipBytes(address)]));
}

/** Waits until duplicate address detection is through; an address that somebody else has throws `failed-precondition`. */
export async function settleAddresses(
  namespace: PodNamespace,
  index: number,
  wanted: readonly IpPrefix[],
  signal: AbortSignal,
): Promise<void> {
  // IPv4 has none.
  if (!wanted.some(({ address }) => address.family === 6)) return;
  const limit = performance.now() + settleLimitMs;
  for (;;) {
    const [reply] = await namespace.rtnetlink.execute("addresses", [listAddresses(index)]);
    const present = addressesOf(index, reply);
    const own = present.filter(({ prefix }) =>
      wanted.some((one) => formatPrefix(one) === formatPrefix(prefix)),
    );
    const duplicate = own.find(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
    if (duplicate !== undefined) {
      throw new RuntimeError(
        "failed-precondition",
        `${formatPrefix(duplicate.prefix)} is in use by another host`,
      );
    }
    if (own.every(({ flags }) => (flags & IFA_F_TENTATIVE) === 0)) return;
    if (signal.aborted || performance.now() > limit) {
      throw new RuntimeError("deadline-exceeded", `addresses in ${namespace.path} are still tentative`);
    }
    await sleep(settleDelayMs);
  }
}
