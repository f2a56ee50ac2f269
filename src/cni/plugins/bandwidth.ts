import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import { ifbName, readBandwidthConf, type BandwidthConf } from "../bandwidth/conf.ts";
import { findLink } from "../bridge/device.ts";
import type { HostNetwork } from "../host-network.ts";
import { stringField } from "../json.ts";
import { addIfb, decodeLink, getLinkByIndex, IFF_UP, setLinkAlias, type Link } from "../netlink/link.ts";
import {
  addIngress,
  addTokenBucket,
  decodeQueue,
  listQueues,
  redirectArriving,
  type TokenBucket,
} from "../netlink/traffic-control.ts";
import { ownerMark } from "../owner.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import { emptyResult, type CniInterface } from "../result.ts";
import { removeStaleLinks } from "../stale-links.ts";
import { requireNamespace } from "./loopback.ts";

/**
 * Limits what a pod receives, by a token bucket at the host's end of its veth, and what it sends, by one at an ifb that
 * takes over what arrives there: the reference plugin's keys and results.
 *
 * @see https://www.cni.dev/plugins/current/meta/bandwidth/
 */
export function bandwidthPlugin(host: HostNetwork): Plugin {
  return {
    type: "bandwidth",
    add: async (call) => {
      const conf = readBandwidthConf(call.conf);
      const previous = call.prevResult ?? emptyResult;
      if (conf.ingress === undefined && conf.egress === undefined) return previous;
      const link = await hostLink(host, call, conf);
      if (conf.ingress !== undefined) {
        await host.rtnetlink.execute(link.name, [addTokenBucket(link.index, conf.ingress)]);
      }
      if (conf.egress === undefined) return previous;
      const ifb = await limitArriving(host, link, call, conf.network, conf.egress);
      return { ...previous, interfaces: [...previous.interfaces, ifb] };
    },
    del: async (call) => {
      // The bucket of what the pod receives goes with the link it is at.
      const name = ifbName(stringField(call.conf, "name", "bandwidth"), call.containerId);
      if ((await findLink(host.rtnetlink, name)) === undefined) return;
      call.afterwards(async () => {
        await host.removals.remove(name);
      });
    },
    check: async (call) => {
      const conf = readBandwidthConf(call.conf);
      if (conf.ingress === undefined && conf.egress === undefined) return;
      const link = await hostLink(host, call, conf);
      if (conf.ingress !== undefined) await requireBucket(host, conf, link, conf.ingress);
      if (conf.egress === undefined) return;
      const name = ifbName(conf.network, call.containerId);
      const ifb = await findLink(host.rtnetlink, name);
      if (ifb === undefined) throw new RuntimeError("failed-precondition", `${name} is gone`);
      await requireBucket(host, conf, ifb, conf.egress);
    },
    gc: (call, valid) => removeStaleLinks(host, "ifb", call, valid),
  };
}

/** The host's end of the pod's veth, which must be one that the plugins before have told of. */
async function hostLink(host: HostNetwork, call: PluginCall, conf: BandwidthConf): Promise<Link> {
  const what = `network ${conf.network}: bandwidth`;
  if (call.prevResult === undefined) {
    throw new RuntimeError("invalid-argument", `${what}: it must follow another plugin`);
  }
  const pod = await findLink(requireNamespace(call).rtnetlink, call.ifname);
  if (pod === undefined || pod.peer === 0) {
    throw new RuntimeError(
      "failed-precondition",
      `${what}: ${call.ifname} in ${call.netns} is no end of a veth`,
    );
  }
  const [reply] = await host.rtnetlink.request([getLinkByIndex(pod.peer)]);
  const message = reply?.acknowledgement.errno === constants.errno.ENODEV ? undefined : reply?.messages[0];
  const link = message === undefined ? undefined : decodeLink(message.payload);
  const isTold = (one: CniInterface): boolean => one.name === link?.name && (one.sandbox ?? "") === "";
  if (link !== undefined && call.prevResult.interfaces.some(isTold)) return link;
  throw new RuntimeError(
    "failed-precondition",
    `${what}: the other end of ${call.ifname} is not on this host`,
  );
}

/** Makes the ifb and leads to it what arrives at the link. What fails is undone by DEL, which always follows. */
async function limitArriving(
  host: HostNetwork,
  link: Link,
  { containerId, ifname }: PluginCall,
  network: string,
  bucket: TokenBucket,
): Promise<CniInterface> {
  const name = ifbName(network, containerId);
  const settings = { name, mtu: link.mtu, queueLength: 0, flags: IFF_UP };
  await host.rtnetlink.execute(name, [
    addIfb(settings),
    setLinkAlias(name, ownerMark(network, containerId, ifname)),
  ]);
  const ifb = await findLink(host.rtnetlink, name);
  if (ifb === undefined) throw new RuntimeError("internal", `${name} is gone again`);
  await host.rtnetlink.execute(`${link.name}, ${name}`, [
    addTokenBucket(ifb.index, bucket),
    addIngress(link.index),
    redirectArriving(link.index, ifb.index),
  ]);
  return { name, mac: ifb.mac };
}

async function requireBucket(
  host: HostNetwork,
  conf: BandwidthConf,
  link: Link,
  wanted: TokenBucket,
): Promise<void> {
  const [reply] = await host.rtnetlink.execute(link.name, [listQueues()]);
  const queues = (reply?.messages ?? []).map(({ payload }) => decodeQueue(payload));
  const found = queues.find((queue) => queue.link === link.index && queue.bucket !== undefined)?.bucket;
  if (found?.rate === wanted.rate && found.limit === wanted.limit && isClose(found.buffer, wanted.buffer))
    return;
  throw new RuntimeError(
    "failed-precondition",
    `network ${conf.network}: bandwidth: ${link.name} has not the limit of ${wanted.rate} bytes a second`,
  );
}

/** The kernel keeps nanoseconds, and may give a tick less back. */
function isClose(present: number, wanted: number): boolean {
  return Math.abs(present - wanted) <= 1;
}
