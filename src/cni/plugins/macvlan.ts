import { RuntimeError } from "../../core/errors.ts";
import { deleteByName, settleAddresses } from "../bridge/veth.ts";
import { ipamType } from "../conf.ts";
import type { HostNetwork } from "../host-network.ts";
import { parsePrefix } from "../ip.ts";
import { readMacvlanConf } from "../macvlan/conf.ts";
import { configureMacvlan, findMaster, makeMacvlan } from "../macvlan/link.ts";
import type { Plugin } from "../plugin.ts";
import { assignAddresses, checkPodLink } from "../pod-link.ts";
import { requireNamespace } from "./loopback.ts";

/**
 * Gives a pod a hardware address of its own on a link of the host: the reference plugin's keys and results.
 *
 * @see https://www.cni.dev/plugins/current/main/macvlan/
 */
export function macvlanPlugin(host: HostNetwork): Plugin {
  return {
    type: "macvlan",
    add: async (call) => {
      const namespace = requireNamespace(call);
      const conf = readMacvlanConf(call);
      await using undo = new AsyncDisposableStack();
      namespace.setSysctls({ "ipv4/conf/default/arp_notify": "1", "ipv6/conf/default/ndisc_notify": "1" });
      const link = await makeMacvlan(host.rtnetlink, namespace, conf, call.ifname);
      undo.defer(async () => {
        await deleteByName(namespace.rtnetlink, call.ifname);
      });
      const addresses = await assignAddresses(call, conf.ipam, undo);
      await configureMacvlan(namespace, link, addresses);
      const prefixes = addresses.ips.map(({ address }) => parsePrefix(address));
      await settleAddresses(namespace, link.index, prefixes, call.signal);
      undo.move();
      return {
        interfaces: [{ name: call.ifname, mac: link.mac, sandbox: call.netns }],
        ips: addresses.ips.map((ip) => ({ ...ip, interface: 0 })),
        routes: addresses.routes,
        dns: conf.dns,
      };
    },
    del: async (call) => {
      // The link first: an address is free only when nothing can answer to it any more.
      if (call.namespace !== undefined) await deleteByName(call.namespace.rtnetlink, call.ifname);
      const ipam = ipamType(call.conf);
      if (ipam !== "") await (await call.delegate(ipam)).del(call);
    },
    check: async (call) => {
      const conf = readMacvlanConf(call);
      const namespace = requireNamespace(call);
      if (conf.ipam !== "") await (await call.delegate(conf.ipam)).check(call);
      await findMaster(conf.linkInContainer ? namespace.rtnetlink : host.rtnetlink, conf);
      const link = await checkPodLink(call, namespace);
      if (link.kind === "macvlan") return;
      throw new RuntimeError("failed-precondition", `${call.ifname} in ${call.netns} is no macvlan`);
    },
    gc: async (call, valid) => {
      const ipam = ipamType(call.conf);
      if (ipam !== "") await (await call.delegate(ipam)).gc(call, valid);
    },
  };
}
