import { RuntimeError } from "../../core/errors.ts";
import { readFirewallConf, type FirewallBackend, type FirewallConf } from "../firewall/conf.ts";
import { changeZone, isFirewalldRunning } from "../firewall/firewalld.ts";
import { isolate, removeStaleIptables, removeStaleNftables } from "../firewall/isolate.ts";
import { isolationChains } from "../firewall/isolation.ts";
import {
  acceptLines,
  addressesOfFamily,
  forwardChain,
  isRuleOf,
  missingAccept,
  withdrawLines,
  type PassingPod,
} from "../firewall/rules.ts";
import type { HostNetwork } from "../host-network.ts";
import { isInstalled, legacyTables } from "../iptables/backend.ts";
import { changeTables, optionOf, readTable, type IptablesOptions } from "../iptables/program.ts";
import { formatIp } from "../ip.ts";
import { KeyedQueue } from "../keyed-queue.ts";
import { getChain } from "../netlink/nftables.ts";
import { ownerMark, staleMarks } from "../owner.ts";
import type { NetworkCall, Plugin, PluginCall } from "../plugin.ts";
import type { CniResult } from "../result.ts";

/** The queue of those who change iptables: they read first and then write. */
const everybody = "iptables";
const families = [4, 6] as const;

/**
 * Lets pods' connections pass a host that forwards nothing by itself, and keeps networks apart where that is asked: the
 * reference plugin's keys and results. The backend nftables has rules for the latter alone, for nothing in a table of
 * its own could let pass what another table drops.
 *
 * @see https://www.cni.dev/plugins/current/meta/firewall/
 */
export function firewallPlugin(host: HostNetwork): Plugin {
  const queue = new KeyedQueue();
  const { environment } = host;

  const backendOf = async (conf: FirewallConf, signal: AbortSignal): Promise<FirewallBackend> => {
    if (conf.backend !== undefined) return conf.backend;
    const hasFirewalld = await isInstalled("firewall-cmd", environment);
    if (hasFirewalld && (await isFirewalldRunning(environment, signal))) return "firewalld";
    return (await isInstalled("iptables", environment)) ? "iptables" : "nftables";
  };

  const optionsOf = (call: NetworkCall, conf: FirewallConf): IptablesOptions => ({
    environment,
    signal: call.signal,
    subject: `network ${conf.network}: firewall`,
  });

  return {
    type: "firewall",
    add: async (call) => {
      const conf = readFirewallConf(call.conf);
      const previous = requirePrevious(call, conf);
      const backend = await backendOf(conf, call.signal);
      const options = optionsOf(call, conf);
      if (backend === "firewalld") await changeZone("add", conf, call, environment);
      await queue.run(everybody, call.signal, async () => {
        const pods = podsOf(call, conf);
        for (const [family, pod] of backend === "iptables" ? pods : []) {
          const present = await readTable(family, "filter", options);
          await changeTables(family, [["filter", acceptLines(conf, pod, present)]], options);
        }
        // As with the reference plugin, firewalld or not.
        const writer = backend === "nftables" ? "nftables" : "iptables";
        await isolate(
          conf,
          previous,
          writer,
          pods.map(([family]) => family),
          options,
        );
      });
      return previous;
    },
    del: async (call) => {
      const conf = readFirewallConf({ ...call.conf, ingressPolicy: "open" });
      if ((await backendOf(conf, call.signal)) === "firewalld") {
        await changeZone("remove", conf, call, environment);
      }
      const options = optionsOf(call, conf);
      await queue.run(everybody, call.signal, async () => {
        for (const family of families) {
          if (!(await mayHaveChain(host, family, forwardChain))) continue;
          const present = await readTable(family, "filter", options);
          const lines = withdrawLines(conf, isRuleOf(podOf(call, conf, family)), present);
          await changeTables(family, [["filter", lines]], options);
        }
      });
    },
    check: async (call) => {
      const conf = readFirewallConf(call.conf);
      requirePrevious(call, conf);
      const backend = await backendOf(conf, call.signal);
      if (backend === "firewalld" && !(await changeZone("query", conf, call, environment))) {
        throw lost(conf, `zone ${conf.zone} lacks an address of container ${call.containerId}`);
      }
      for (const [family, pod] of backend === "iptables" ? podsOf(call, conf) : []) {
        const present = await readTable(family, "filter", optionsOf(call, conf));
        const missing = missingAccept(conf, pod, present);
        if (missing !== undefined) throw lost(conf, `iptables has lost rules of ${formatIp(missing)}`);
      }
    },
    gc: async (call, valid) => {
      const conf = readFirewallConf({ ...call.conf, ingressPolicy: "open" });
      const options = optionsOf(call, conf);
      const isStale = staleMarks(conf.network, valid);
      await queue.run(everybody, call.signal, async () => {
        const gone = new Set(await removeStaleNftables(host, options));
        for (const family of families) {
          if (await mayHaveChain(host, family, isolationChains.stage1)) {
            for (const bridge of await removeStaleIptables(host, family, options)) gone.add(bridge);
          }
          if (!(await mayHaveChain(host, family, forwardChain))) continue;
          const present = await readTable(family, "filter", options);
          const lines = withdrawLines(conf, (rule) => isStale(optionOf(rule, "--comment") ?? ""), present);
          await changeTables(family, [["filter", lines]], options);
          if (lines.length > 0) call.note(`firewall: removed rules of IPv${family} that were of no pod`);
        }
        for (const bridge of gone) call.note(`firewall: removed the rules of ${bridge}, which is gone`);
      });
    },
  };
}

/** Found out without a process where iptables writes for nftables. */
async function mayHaveChain(host: HostNetwork, family: 4 | 6, chain: string): Promise<boolean> {
  if (legacyTables().length > 0) return isInstalled("iptables-save", host.environment);
  const table = family === 4 ? "ip" : "ip6";
  const [reply] = await host.netfilter.request([getChain(table, "filter", chain)]);
  return reply?.acknowledgement.errno === 0;
}

function podOf(call: PluginCall, { network }: FirewallConf, family: 4 | 6): PassingPod {
  return {
    owner: ownerMark(network, call.containerId, call.ifname),
    addresses: call.prevResult === undefined ? [] : addressesOfFamily(call.prevResult, family),
  };
}

/** The pod in each family that it has addresses of. */
function podsOf(call: PluginCall, conf: FirewallConf): (readonly [4 | 6, PassingPod])[] {
  return families
    .map((family) => [family, podOf(call, conf, family)] as const)
    .filter(([, { addresses }]) => addresses.length > 0);
}

function requirePrevious(call: PluginCall, conf: FirewallConf): CniResult {
  if (call.prevResult !== undefined) return call.prevResult;
  throw new RuntimeError(
    "invalid-argument",
    `network ${conf.network}: firewall: it must follow another plugin`,
  );
}

function lost(conf: FirewallConf, problem: string): RuntimeError {
  return new RuntimeError("failed-precondition", `network ${conf.network}: firewall: ${problem}`);
}
