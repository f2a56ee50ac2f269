import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import { findLink, linkOf, randomMac } from "../bridge/device.ts";
import { routeSettings } from "../bridge/gateways.ts";
import type { VethNames } from "../bridge/veth.ts";
import { addressBits, networkOf, parseIp, parsePrefix, type IpAddress, type IpPrefix } from "../ip.ts";
import { addAddress, IFA_F_NODAD, IFA_F_NOPREFIXROUTE } from "../netlink/address.ts";
import { addVeth, getLink, IFF_UP, setLink, setLinkAlias, type Link } from "../netlink/link.ts";
import type { NetlinkMessage } from "../netlink/message.ts";
import { addRoute } from "../netlink/route.ts";
import { requireSuccess, type NetlinkSocket } from "../netlink/socket.ts";
import type { PodNamespace } from "../pod-namespace.ts";
import type { CniResult } from "../result.ts";
import type { PtpConf } from "./conf.ts";

/** An address of the pod, and that of the host's end of its link. */
export interface PointToPoint {
  readonly pod: IpPrefix;
  readonly gateway: IpAddress;
}

/** The pairs of addresses; one without a gateway throws `invalid-argument`. */
export function pairsOf(network: string, addresses: CniResult): PointToPoint[] {
  return addresses.ips.map(({ address, gateway }) => {
    if (gateway === undefined) {
      throw new RuntimeError("invalid-argument", `network ${network}: ptp: ${address} has no gateway`);
    }
    return { pod: parsePrefix(address), gateway: parseIp(gateway) };
  });
}

/** Makes the veth, the pod's end straight in its namespace, and gives the host's end. */
export async function connect(
  rtnetlink: NetlinkSocket,
  namespace: PodNamespace,
  conf: PtpConf,
  names: VethNames,
): Promise<{ readonly host: Link; readonly pod: Link }> {
  const mtu = conf.mtu === undefined ? {} : { mtu: conf.mtu };
  const [added, aliased, found] = await rtnetlink.request([
    addVeth(
      { name: names.host, mac: randomMac(), flags: IFF_UP, ...mtu },
      { name: names.pod, mac: randomMac(), netnsFd: namespace.fd, ...mtu },
    ),
    setLinkAlias(names.host, names.alias),
    getLink(names.host),
  ]);
  if (added !== undefined) requireSuccess(`${names.host}, ${names.pod}`, added);
  if (aliased !== undefined) requireSuccess(names.host, aliased);
  const host = found === undefined ? undefined : linkOf(names.host, found);
  const pod = await findLink(namespace.rtnetlink, names.pod);
  if (host === undefined || pod === undefined) {
    throw new RuntimeError("internal", `${names.host}, ${names.pod}: gone again`);
  }
  return { host, pod };
}

/** Everything goes by the host, the pod's own subnet too: only the gateway is on the link. */
export async function configurePodEnd(
  namespace: PodNamespace,
  pod: Link,
  pairs: readonly PointToPoint[],
  addresses: CniResult,
): Promise<void> {
  const messages = [
    ...pairs.map((pair) => addAddress(pod.index, pair.pod, IFA_F_NOPREFIXROUTE | nodad(pair.pod.address))),
    setLink(pod.index, { flags: IFF_UP }),
    ...pairs.flatMap(({ pod: own, gateway }) => [
      addRoute(pod.index, { destination: single(gateway), source: own.address }),
      addRoute(pod.index, { destination: networkOf(own), gateway, source: own.address }),
    ]),
    ...routeSettings(addresses.routes, addresses.ips).map((route) => addRoute(pod.index, route)),
  ];
  await executeAll(namespace.rtnetlink, `${pod.name} in ${namespace.path}`, messages);
}

/** The host's end has the gateways' addresses, and the routes to the pod's. */
export async function configureHostEnd(
  rtnetlink: NetlinkSocket,
  host: Link,
  pairs: readonly PointToPoint[],
): Promise<void> {
  const messages = pairs.flatMap(({ pod, gateway }) => [
    addAddress(host.index, single(gateway), nodad(gateway)),
    addRoute(host.index, { destination: single(pod.address) }),
  ]);
  await executeAll(rtnetlink, host.name, messages);
}

/** What is there already comes from an address, or twice from the ipam. */
async function executeAll(
  rtnetlink: NetlinkSocket,
  subject: string,
  messages: readonly NetlinkMessage[],
): Promise<void> {
  for (const reply of await rtnetlink.request(messages)) {
    if (reply.acknowledgement.errno !== constants.errno.EEXIST) requireSuccess(subject, reply);
  }
}

function single(address: IpAddress): IpPrefix {
  return { address, length: addressBits(address.family) };
}

function nodad({ family }: IpAddress): number {
  return family === 6 ? IFA_F_NODAD : 0;
}
