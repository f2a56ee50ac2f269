import { RuntimeError } from "../../core/errors.ts";
import { findLink } from "../bridge/device.ts";
import { routeSettings } from "../bridge/gateways.ts";
import { constants } from "node:os";
import { parsePrefix } from "../ip.ts";
import { addAddress } from "../netlink/address.ts";
import { addMacvlan, decodeLink, getLinkByIndex, IFF_UP, setLink, type Link } from "../netlink/link.ts";
import { addRoute, decodeRoute, listRoutes, RT_TABLE_MAIN } from "../netlink/route.ts";
import { requireSuccess, type NetlinkSocket } from "../netlink/socket.ts";
import type { PodNamespace } from "../pod-namespace.ts";
import type { CniResult } from "../result.ts";
import type { MacvlanConf } from "./conf.ts";

/** The link that a macvlan hangs on; throws `failed-precondition` where there is none. */
export async function findMaster(rtnetlink: NetlinkSocket, conf: MacvlanConf): Promise<Link> {
  const what = `network ${conf.network}: macvlan`;
  if (conf.master !== "") {
    const link = await findLink(rtnetlink, conf.master);
    if (link !== undefined) return link;
    throw new RuntimeError("failed-precondition", `${what}: master ${conf.master} is not there`);
  }
  for (const family of [4, 6] as const) {
    const [reply] = await rtnetlink.execute("routes", [listRoutes(family)]);
    const routes = (reply?.messages ?? []).map(({ payload }) => decodeRoute(payload));
    const route = routes.find(({ prefixLength, table }) => prefixLength === 0 && table === RT_TABLE_MAIN);
    if (route?.link === undefined) continue;
    const [found] = await rtnetlink.execute(`link ${route.link}`, [getLinkByIndex(route.link)]);
    const message = found?.messages[0];
    if (message !== undefined) return decodeLink(message.payload);
  }
  throw new RuntimeError("failed-precondition", `${what}: no master is named, and there is no default route`);
}

/** Makes the link in the pod's namespace under its own name. */
export async function makeMacvlan(
  rtnetlink: NetlinkSocket,
  namespace: PodNamespace,
  conf: MacvlanConf,
  name: string,
): Promise<Link> {
  const source = conf.linkInContainer ? namespace.rtnetlink : rtnetlink;
  const master = await findMaster(source, conf);
  if (conf.mtu !== undefined && conf.mtu > master.mtu) {
    const problem = `mtu ${conf.mtu} is more than the ${master.mtu} of ${master.name}`;
    throw new RuntimeError("invalid-argument", `network ${conf.network}: macvlan: ${problem}`);
  }
  const added = await source.request([
    addMacvlan({
      name,
      link: master.index,
      mode: conf.mode,
      netnsFd: namespace.fd,
      ...(conf.mac === undefined ? {} : { mac: conf.mac }),
      ...(conf.mtu === undefined ? {} : { mtu: conf.mtu }),
      ...(conf.broadcastQueue === undefined ? {} : { broadcastQueue: conf.broadcastQueue }),
    }),
  ]);
  for (const reply of added) requireSuccess(`${name} on ${master.name}`, reply);
  const link = await findLink(namespace.rtnetlink, name);
  if (link !== undefined) return link;
  throw new RuntimeError("internal", `${name} in ${namespace.path} is gone again`);
}

/** Gives the link its addresses, sets it up and adds the routes. */
export async function configureMacvlan(
  namespace: PodNamespace,
  link: Link,
  addresses: CniResult,
): Promise<void> {
  const replies = await namespace.rtnetlink.request([
    ...addresses.ips.map(({ address }) => addAddress(link.index, parsePrefix(address), 0)),
    setLink(link.index, { flags: IFF_UP }),
    ...routeSettings(addresses.routes, addresses.ips).map((route) => addRoute(link.index, route)),
  ]);
  for (const reply of replies) {
    // The same route may come from an address or from the ipam twice.
    if (reply.acknowledgement.errno !== constants.errno.EEXIST) {
      requireSuccess(`${link.name} in ${namespace.path}`, reply);
    }
  }
}
