import { RuntimeError } from "../core/errors.ts";
import { addressesOf, findLink } from "./bridge/device.ts";
import { hostLinkName } from "./bridge/names.ts";
import type { VethNames } from "./bridge/veth.ts";
import { parsePrefix, sameIp } from "./ip.ts";
import { stringField } from "./json.ts";
import { listAddresses } from "./netlink/address.ts";
import { IFF_UP, type Link } from "./netlink/link.ts";
import { ownerMark } from "./owner.ts";
import type { PluginCall } from "./plugin.ts";
import type { PodNamespace } from "./pod-namespace.ts";
import { emptyResult, type CniResult } from "./result.ts";

/** The names of a pod's veth. */
export function linkNames({ conf, containerId, ifname }: PluginCall): VethNames {
  return {
    host: hostLinkName(containerId, ifname),
    pod: ifname,
    alias: ownerMark(stringField(conf, "name", conf.type), containerId, ifname),
  };
}

/** Has the `ipam` plugin give addresses, and take them back where what follows fails; none at all throws. */
export async function assignAddresses(
  call: PluginCall,
  ipamType: string,
  undo: AsyncDisposableStack,
): Promise<CniResult> {
  if (ipamType === "") return emptyResult;
  const ipam = await call.delegate(ipamType);
  const addresses = await ipam.add(call);
  undo.defer(() => ipam.del(call));
  if (addresses.ips.length > 0) return addresses;
  const network = stringField(call.conf, "name", call.conf.type);
  throw new RuntimeError("internal", `network ${network}: ipam ${ipamType} gave no address`);
}

/** Throws `failed-precondition` where the pod's link is not up or lacks an address that ADD gave it. */
export async function checkPodLink(call: PluginCall, namespace: PodNamespace): Promise<Link> {
  const link = await findLink(namespace.rtnetlink, call.ifname);
  if (link === undefined || (link.flags & IFF_UP) === 0) {
    throw new RuntimeError("failed-precondition", `${call.ifname} is not up in ${call.netns}`);
  }
  const [reply] = await namespace.rtnetlink.execute(call.ifname, [listAddresses(link.index)]);
  const present = addressesOf(link.index, reply).map(({ prefix }) => prefix);
  for (const { address, interface: index } of call.prevResult?.ips ?? []) {
    const owner = index === undefined ? undefined : call.prevResult?.interfaces[index];
    if (owner !== undefined && owner.name !== call.ifname) continue;
    const wanted = parsePrefix(address);
    if (present.some((one) => sameIp(one.address, wanted.address) && one.length === wanted.length)) continue;
    throw new RuntimeError("failed-precondition", `${call.ifname} in ${call.netns} lost ${address}`);
  }
  return link;
}
