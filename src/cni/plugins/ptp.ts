import { disconnectPod, silencePod } from "../bridge/veth.ts";
import { ipamType } from "../conf.ts";
import type { HostNetwork } from "../host-network.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import { assignAddresses, checkPodLink, linkNames } from "../pod-link.ts";
import { readPtpConf } from "../ptp/conf.ts";
import { configureHostEnd, configurePodEnd, connect, pairsOf, type PointToPoint } from "../ptp/links.ts";
import { removeStaleLinks } from "../stale-links.ts";
import { requireNamespace } from "./loopback.ts";

/**
 * Connects a pod to the host by a link of its own, without a bridge: the reference plugin's keys and results.
 *
 * @see https://www.cni.dev/plugins/current/main/ptp/
 */
export function ptpPlugin(host: HostNetwork): Plugin {
  const prepare = (call: PluginCall, pairs: readonly PointToPoint[]): void => {
    for (const family of new Set(pairs.map(({ pod }) => pod.address.family))) {
      if (host.enableForwarding(family) === "turned-on") call.note(`ptp: turned IPv${family} forwarding on`);
      if (family === 6) requireNamespace(call).setSysctls({ "ipv6/conf/default/disable_ipv6": "0" });
    }
    // Routes are given, never learnt.
    requireNamespace(call).setSysctls({ "ipv6/conf/default/accept_ra": "0" });
  };
  return {
    type: "ptp",
    add: async (call) => {
      const namespace = requireNamespace(call);
      const conf = readPtpConf(call.conf);
      await using undo = new AsyncDisposableStack();
      const addresses = await assignAddresses(call, conf.ipam, undo);
      const pairs = pairsOf(conf.network, addresses);
      prepare(call, pairs);
      const links = await connect(host.rtnetlink, namespace, conf, linkNames(call));
      undo.defer(() => disconnectPod(host.removals, namespace, linkNames(call)));
      await configurePodEnd(namespace, links.pod, pairs, addresses);
      await configureHostEnd(host.rtnetlink, links.host, pairs);
      if (conf.ipMasq) {
        const prefixes = pairs.map(({ pod }) => pod);
        await host.masquerade.ensure(conf.network, prefixes, call.signal);
      }
      undo.move();
      return {
        interfaces: [
          { name: links.host.name, mac: links.host.mac },
          { name: call.ifname, mac: links.pod.mac, sandbox: call.netns },
        ],
        ips: addresses.ips.map((ip) => ({ ...ip, interface: 1 })),
        routes: addresses.routes,
        dns: Object.keys(conf.dns).length > 0 ? conf.dns : addresses.dns,
      };
    },
    del: async (call) => {
      const ipam = ipamType(call.conf);
      const finish = async (later: PluginCall): Promise<void> => {
        // The link first: an address is free only when nothing can answer to it any more.
        await disconnectPod(host.removals, later.namespace, linkNames(call));
        if (ipam !== "") await (await later.delegate(ipam)).del(later);
      };
      if ((await silencePod(host.rtnetlink, linkNames(call).host)) === "silent") call.afterwards(finish);
      else await finish(call);
    },
    check: async (call) => {
      const conf = readPtpConf(call.conf);
      if (conf.ipam !== "") await (await call.delegate(conf.ipam)).check(call);
      await checkPodLink(call, requireNamespace(call));
    },
    gc: async (call, valid) => {
      // As in DEL: an address is free only when nothing can answer to it any more.
      await removeStaleLinks(host, "veth", call, valid);
      const ipam = ipamType(call.conf);
      if (ipam !== "") await (await call.delegate(ipam)).gc(call, valid);
    },
  };
}
