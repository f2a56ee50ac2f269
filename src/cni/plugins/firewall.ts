import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import { readFirewallConf, type FirewallBackend, type FirewallConf } from "../firewall/conf.ts";
import { changeZone, isFirewalldRunning } from "../firewall/firewalld.ts";
import {
  acceptLines,
  addressesOfFamily,
  firewallChains,
  isolationLines,
  isolationScript,
  missingAccept,
  withdrawLines,
} from "../firewall/rules.ts";
import type { HostNetwork } from "../host-network.ts";
import { isInstalled, legacyTables } from "../iptables/backend.ts";
import { changeTables, readTable, type IptablesOptions } from "../iptables/program.ts";
import { formatIp, type IpAddress } from "../ip.ts";
import { KeyedQueue } from "../keyed-queue.ts";
import { getChain } from "../netlink/nftables.ts";
import { runNft } from "../nft.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
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

  const isolate = async (call: PluginCall, conf: FirewallConf, backend: FirewallBackend): Promise<void> => {
    const { ingressPolicy } = conf;
    if (ingressPolicy === "open") return;
    const bridge = call.prevResult?.interfaces[0]?.name ?? "";
    if (bridge === "") {
      const problem = `ingressPolicy ${ingressPolicy} needs a bridge before it`;
      throw new RuntimeError("invalid-argument", `network ${conf.network}: firewall: ${problem}`);
    }
    if (backend === "nftables") {
      const subject = `network ${conf.network}: firewall`;
      await runNft(subject, isolationScript(bridge, ingressPolicy), environment, call.signal);
      return;
    }
    for (const [family] of familiesOf(call.prevResult)) {
      const options = optionsOf(call, conf);
      const present = await readTable(family, "filter", options);
      await changeTables(family, [["filter", isolationLines(bridge, ingressPolicy, present)]], options);
    }
  };

  const optionsOf = (call: PluginCall, conf: FirewallConf): IptablesOptions => ({
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
      if (backend === "firewalld") await changeZone("add", conf, call, environment);
      await queue.run(everybody, call.signal, async () => {
        for (const [family, addresses] of backend === "iptables" ? familiesOf(previous) : []) {
          const options = optionsOf(call, conf);
          const present = await readTable(family, "filter", options);
          await changeTables(family, [["filter", acceptLines(conf, addresses, present)]], options);
        }
        await isolate(call, conf, backend);
      });
      return previous;
    },
    del: async (call) => {
      const conf = readFirewallConf({ ...call.conf, ingressPolicy: "open" });
      if ((await backendOf(conf, call.signal)) === "firewalld") {
        await changeZone("remove", conf, call, environment);
      }
      await queue.run(everybody, call.signal, async () => {
        for (const [family, addresses] of familiesOf(call.prevResult)) {
          if (!(await mayHaveRules(host, family))) continue;
          const options = optionsOf(call, conf);
          const present = await readTable(family, "filter", options);
          await changeTables(family, [["filter", withdrawLines(conf, addresses, present)]], options);
        }
      });
    },
    check: async (call) => {
      const conf = readFirewallConf(call.conf);
      const previous = requirePrevious(call, conf);
      const backend = await backendOf(conf, call.signal);
      if (backend === "firewalld" && !(await changeZone("query", conf, call, environment))) {
        throw lost(conf, `zone ${conf.zone} lacks an address of container ${call.containerId}`);
      }
      for (const [family, addresses] of backend === "iptables" ? familiesOf(previous) : []) {
        const present = await readTable(family, "filter", optionsOf(call, conf));
        const missing = missingAccept(conf, addresses, present);
        if (missing !== undefined) throw lost(conf, `iptables has lost rules of ${formatIp(missing)}`);
      }
    },
    gc: () => Promise.resolve(),
  };
}

/** Found out without a process where iptables writes for nftables. */
async function mayHaveRules(host: HostNetwork, family: 4 | 6): Promise<boolean> {
  if (legacyTables().length > 0) return isInstalled("iptables-save", host.environment);
  const table = family === 4 ? "ip" : "ip6";
  const [reply] = await host.netfilter.request([getChain(table, "filter", firewallChains.forward)]);
  return reply?.acknowledgement.errno !== constants.errno.ENOENT;
}

function familiesOf(result: CniResult | undefined): (readonly [4 | 6, readonly IpAddress[]])[] {
  if (result === undefined) return [];
  return families
    .map((family) => [family, addressesOfFamily(result, family)] as const)
    .filter(([, addresses]) => addresses.length > 0);
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
