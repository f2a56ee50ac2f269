import { RuntimeError } from "../../core/errors.ts";
import { readBridgeConf, type BridgeConf } from "../bridge/conf.ts";
import { ensureBridge, findLink } from "../bridge/device.ts";
import { planGateways, type GatewayPlan } from "../bridge/gateways.ts";
import { guardMac, removeStaleGuards, unguardMac } from "../bridge/mac-guard.ts";
import { configurePod, connectPod, disconnectPod, silencePod, type VethPair } from "../bridge/veth.ts";
import { ensureVlanGateway } from "../bridge/vlan.ts";
import { ipamType } from "../conf.ts";
import type { HostNetwork } from "../host-network.ts";
import { parsePrefix } from "../ip.ts";
import { KeyedQueue } from "../keyed-queue.ts";
import { IFF_UP, type Link } from "../netlink/link.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import { assignAddresses, checkPodLink, linkNames } from "../pod-link.ts";
import type { PodNamespace } from "../pod-namespace.ts";
import type { CniResult } from "../result.ts";
import { removeStaleLinks } from "../stale-links.ts";
import { requireNamespace } from "./loopback.ts";

/** Tries to connect a pod to a bridge that somebody else keeps changing. */
const maxConnectTries = 3;

/**
 * Connects pods to a bridge on the host: the reference plugin's keys and results.
 *
 * @see https://www.cni.dev/plugins/current/main/bridge/
 */
export function bridgePlugin(host: HostNetwork): Plugin {
  /** Index of each bridge as last seen; a wrong one is found out by the datagram that uses it. */
  const bridgeIndexes = new Map<string, number>();

  const connect = async (
    call: PluginCall,
    namespace: PodNamespace,
    conf: BridgeConf,
    plan: GatewayPlan,
  ): Promise<VethPair> => {
    const names = linkNames(call);
    for (let tries = 0; tries < maxConnectTries; tries += 1) {
      const index = bridgeIndexes.get(conf.bridge);
      const pair =
        index === undefined
          ? undefined
          : await connectPod(host.rtnetlink, namespace, conf, plan, names, index);
      if (pair !== undefined) return pair;
      const bridge = await ensureBridge(host.rtnetlink, conf, plan.bridgeAddresses);
      bridgeIndexes.set(conf.bridge, bridge.index);
    }
    throw new RuntimeError(
      "aborted",
      `${conf.bridge} is changed by others while pod ${call.containerId} is added`,
    );
  };

  /** Two pods that come at a time make one link. */
  const gatewayTurns = new KeyedQueue();
  const ensureGateway = async (
    call: PluginCall,
    conf: BridgeConf,
    { bridge }: VethPair,
    { bridgeAddresses }: GatewayPlan,
  ): Promise<Link | undefined> => {
    const { vlans } = conf;
    if (vlans === undefined || bridgeAddresses.length === 0) return undefined;
    return gatewayTurns.run(`${conf.bridge}.${vlans.untagged}`, call.signal, () =>
      ensureVlanGateway(host.rtnetlink, conf, bridge, vlans, bridgeAddresses),
    );
  };

  const enableForwarding = (call: PluginCall, conf: BridgeConf, plan: GatewayPlan): void => {
    if (!conf.isGateway) return;
    for (const family of new Set(plan.bridgeAddresses.map(({ address }) => address.family))) {
      if (host.enableForwarding(family) === "turned-on")
        call.note(`bridge: turned IPv${family} forwarding on`);
    }
  };

  return {
    type: "bridge",
    add: async (call) => {
      const namespace = requireNamespace(call);
      const conf = readBridgeConf(call);
      await using undo = new AsyncDisposableStack();
      const addresses = await assignAddresses(call, conf.ipam, undo);
      const plan = planGateways(conf, addresses);
      prepareNamespace(namespace, plan);
      enableForwarding(call, conf, plan);
      // The gateway of a VLAN is no part of the bridge.
      const isBeside = conf.vlans?.gateway === "vlan";
      const pair = await connect(call, namespace, conf, isBeside ? { ...plan, bridgeAddresses: [] } : plan);
      undo.defer(() => disconnectPod(host.removals, namespace, linkNames(call)));
      const gateway = isBeside ? await ensureGateway(call, conf, pair, plan) : undefined;
      if (conf.checkMac) {
        const subject = `network ${conf.network}: bridge: macspoofchk`;
        await guardMac(host, subject, pair.host.name, pair.podMac, call.signal);
        undo.defer(() => unguardMac(host, pair.host.name));
      }
      await configurePod(namespace, conf, plan, pair, call.signal);
      if (conf.ipMasq) {
        const prefixes = plan.ips.map((ip) => parsePrefix(ip.address));
        await host.masquerade.ensure(conf.network, prefixes, call.signal);
      }
      undo.move();
      return makeResult(call, conf, plan, { pair, gateway }, addresses);
    },
    del: async (call) => {
      // No more of the configuration than this: what ADD refused must not fail here.
      const ipam = ipamType(call.conf);
      const finish = async (later: PluginCall): Promise<void> => {
        // The link first: an address is free only when nothing can answer to it any more.
        await disconnectPod(host.removals, later.namespace, linkNames(call));
        if (call.conf["macspoofchk"] === true) await unguardMac(host, linkNames(call).host);
        if (ipam !== "") await (await later.delegate(ipam)).del(later);
      };
      if ((await silencePod(host.rtnetlink, linkNames(call).host)) === "silent") call.afterwards(finish);
      else await finish(call);
    },
    check: async (call) => {
      const conf = readBridgeConf(call);
      if (conf.ipam !== "") await (await call.delegate(conf.ipam)).check(call);
      await checkHost(host, conf);
      if (conf.podLink === "up") await checkPodLink(call, requireNamespace(call));
    },
    gc: async (call, valid) => {
      // As in DEL: an address is free only when nothing can answer to it any more.
      await removeStaleLinks(host, "veth", call, valid);
      await removeStaleGuards(host);
      const ipam = ipamType(call.conf);
      if (ipam !== "") await (await call.delegate(ipam)).gc(call, valid);
    },
  };
}

/** Sets what links of the namespace inherit when they are made: so it holds before the first packet. */
function prepareNamespace(namespace: PodNamespace, plan: GatewayPlan): void {
  const hasIpv6 = plan.ips.some((ip) => ip.address.includes(":"));
  namespace.setSysctls({
    // Addresses and routes are given, never learnt from whoever is on the bridge (CVE-2020-10749).
    "ipv6/conf/default/accept_ra": "0",
    "ipv4/conf/default/arp_notify": "1",
    "ipv6/conf/default/ndisc_notify": "1",
    ...(hasIpv6 ? { "ipv6/conf/default/disable_ipv6": "0" } : {}),
  });
}

function makeResult(
  call: PluginCall,
  conf: BridgeConf,
  plan: GatewayPlan,
  links: { readonly pair: VethPair; readonly gateway: Link | undefined },
  addresses: CniResult,
): CniResult {
  const { bridge, host, podMac } = links.pair;
  const { gateway } = links;
  return {
    interfaces: [
      { name: bridge.name, mac: bridge.mac, mtu: bridge.mtu },
      { name: host.name, mac: host.mac, mtu: host.mtu },
      { name: call.ifname, mac: podMac, mtu: host.mtu, sandbox: call.netns },
      ...(gateway === undefined ? [] : [{ name: gateway.name, mac: gateway.mac, mtu: gateway.mtu }]),
    ],
    ips: plan.ips.map((ip) => ({ ...ip, interface: 2 })),
    routes: plan.routes,
    dns: Object.keys(conf.dns).length > 0 ? conf.dns : addresses.dns,
  };
}

async function checkHost(host: HostNetwork, conf: BridgeConf): Promise<void> {
  const bridge = await findLink(host.rtnetlink, conf.bridge);
  if (bridge?.kind === "bridge" && (bridge.flags & IFF_UP) !== 0) return;
  throw new RuntimeError("failed-precondition", `${conf.bridge} is no bridge that is up`);
}
