import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import type { HostNetwork } from "../host-network.ts";
import { isInstalled, legacyTables } from "../iptables/backend.ts";
import { changeTables, readTable, type IptablesOptions } from "../iptables/program.ts";
import type { IpPrefix } from "../ip.ts";
import { KeyedQueue } from "../keyed-queue.ts";
import { getChain } from "../netlink/nftables.ts";
import { formatHostPort, type PortmapConf } from "./conf.ts";
import {
  addLines,
  chains,
  guardedLinks,
  guardLines,
  isComplete,
  podChain,
  removeLines,
  strangers,
  takenPort,
  unguardLines,
} from "./iptables-rules.ts";
import { linkTowards, routesLocalnet, setRouteLocalnet } from "./localnet.ts";
import type { PortMapper } from "./mapper.ts";
import { forgetUdpFlows } from "./stale-flows.ts";

/** The queue of those who change iptables: they read first and then write. */
const everybody = "iptables";

/** The backend iptables: the reference plugin's chains, each change one iptables-save and one iptables-restore. */
export function iptablesMapper(host: HostNetwork): PortMapper {
  const queue = new KeyedQueue();
  const optionsOf = (network: string, signal: AbortSignal): IptablesOptions => ({
    environment: host.environment,
    signal,
    subject: `network ${network}: portmap`,
  });

  const addFamily = async (
    conf: PortmapConf,
    containerId: string,
    pod: IpPrefix,
    options: IptablesOptions,
  ): Promise<void> => {
    const { family } = pod.address;
    const present = await readTable(family, "nat", options);
    const taken = takenPort(conf, containerId, family, present);
    if (taken !== undefined) {
      const port = formatHostPort(taken);
      throw new RuntimeError(
        "already-exists",
        `${options.subject}: host port ${port} is taken by another pod`,
      );
    }
    await changeTables(family, [["nat", addLines(conf, containerId, pod, present)]], options);
    if (conf.snat && family === 4) await allowLocalnet(host, pod, options);
    await forgetUdpFlows(host.netfilter, family, udpPorts(conf, family));
  };

  const removeChains = async (
    family: 4 | 6,
    choose: (present: Awaited<ReturnType<typeof readTable>>) => readonly string[],
    options: IptablesOptions,
  ): Promise<string[]> => {
    const present = await readTable(family, "nat", options);
    const going = choose(present).filter((chain) => present.chains.has(chain));
    const lines = removeLines(going, present);
    await changeTables(family, [["nat", lines]], options);
    if (family === 4 && lines.includes(`-X ${chains.ports}`)) await forbidLocalnet(options);
    return going;
  };

  return {
    add: (call, conf, pods) =>
      queue.run(everybody, call.signal, async () => {
        const options = optionsOf(conf.network, call.signal);
        for (const pod of pods) {
          if (!conf.ports.some(({ families }) => families.includes(pod.address.family))) continue;
          await addFamily(conf, call.containerId, pod, options);
        }
      }),
    remove: (call, network) =>
      queue.run(everybody, call.signal, async () => {
        const chain = podChain(network, call.containerId);
        for (const family of await familiesToSearch(host, chain)) {
          await removeChains(family, () => [chain], optionsOf(network, call.signal));
        }
      }),
    check: async (call, conf, pods) => {
      const options = optionsOf(conf.network, call.signal);
      for (const pod of pods) {
        const present = await readTable(pod.address.family, "nat", options);
        if (isComplete(conf, call.containerId, pod, present)) continue;
        throw new RuntimeError(
          "failed-precondition",
          `${options.subject}: iptables has lost rules of container ${call.containerId}`,
        );
      }
    },
    gc: (call, network, valid) =>
      queue.run(everybody, call.signal, async () => {
        const ids = new Set(valid.map(({ containerID }) => containerID));
        for (const family of await familiesToSearch(host, chains.ports)) {
          const choose = (present: Awaited<ReturnType<typeof readTable>>): string[] =>
            strangers(network, ids, present);
          for (const chain of await removeChains(family, choose, optionsOf(network, call.signal))) {
            call.note(`portmap: removed ${chain} of IPv${family}`);
          }
        }
      }),
  };
}

/** The families that may have the chain: found out without a process where iptables writes for nftables. */
async function familiesToSearch(host: HostNetwork, chain: string): Promise<(4 | 6)[]> {
  if (legacyTables().length > 0 && (await isInstalled("iptables-save", host.environment))) return [4, 6];
  const replies = await host.netfilter.request([getChain("ip", "nat", chain), getChain("ip6", "nat", chain)]);
  return ([4, 6] as const).filter((_, index) => {
    const errno = replies[index]?.acknowledgement.errno;
    return errno !== constants.errno.ENOENT && errno !== constants.errno.EOPNOTSUPP;
  });
}

async function allowLocalnet(host: HostNetwork, pod: IpPrefix, options: IptablesOptions): Promise<void> {
  const link = await linkTowards(host.rtnetlink, pod.address);
  if (link === undefined || routesLocalnet(link) !== "0") return;
  const present = await readTable(4, "raw", options);
  await changeTables(4, [["raw", guardLines(link, present)]], options);
  setRouteLocalnet([link], "1");
}

async function forbidLocalnet(options: IptablesOptions): Promise<void> {
  const present = await readTable(4, "raw", options);
  setRouteLocalnet(guardedLinks(present), "0");
  await changeTables(4, [["raw", unguardLines(present)]], options);
}

function udpPorts(conf: PortmapConf, family: 4 | 6): Set<number> {
  const own = conf.ports.filter(({ protocol, families }) => protocol === "udp" && families.includes(family));
  return new Set(own.map(({ hostPort }) => hostPort));
}
