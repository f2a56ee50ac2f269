import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import { findLink } from "../bridge/device.ts";
import type { HostNetwork } from "../host-network.ts";
import { changeTables, readTable, type IptablesOptions } from "../iptables/program.ts";
import { decodeElements, listElements } from "../netlink/nftables.ts";
import { runNft } from "../nft.ts";
import { linkOfKey } from "../portmap/table.ts";
import type { CniResult } from "../result.ts";
import type { FirewallConf } from "./conf.ts";
import {
  isolatedBridges,
  isolationLines,
  isolationScript,
  isolationTable,
  withdrawIsolationLines,
  withdrawIsolationScript,
} from "./isolation.ts";

/** Writes what keeps the bridge of the plugin before apart from other such bridges. */
export async function isolate(
  conf: FirewallConf,
  previous: CniResult,
  backend: "iptables" | "nftables",
  families: readonly (4 | 6)[],
  options: IptablesOptions,
): Promise<void> {
  const { ingressPolicy } = conf;
  if (ingressPolicy === "open") return;
  const bridge = previous.interfaces[0]?.name ?? "";
  if (bridge === "") {
    const problem = `ingressPolicy ${ingressPolicy} needs a bridge before it`;
    throw new RuntimeError("invalid-argument", `${options.subject}: ${problem}`);
  }
  if (backend === "nftables") {
    const script = isolationScript(bridge, ingressPolicy);
    await runNft(options.subject, script, options.environment, options.signal);
    return;
  }
  for (const family of families) {
    const present = await readTable(family, "filter", options);
    await changeTables(family, [["filter", isolationLines(bridge, ingressPolicy, present)]], options);
  }
}

/** Takes back what iptables keeps of bridges that are gone; gives their names. */
export async function removeStaleIptables(
  host: HostNetwork,
  family: 4 | 6,
  options: IptablesOptions,
): Promise<string[]> {
  const present = await readTable(family, "filter", options);
  const gone = await missingLinks(host, isolatedBridges(present));
  await changeTables(family, [["filter", withdrawIsolationLines(new Set(gone), present)]], options);
  return gone;
}

/** Takes back what nftables keeps of bridges that are gone; gives their names. */
export async function removeStaleNftables(host: HostNetwork, options: IptablesOptions): Promise<string[]> {
  const [reply] = await host.netfilter.request([listElements(isolationTable)]);
  if (reply === undefined || reply.acknowledgement.errno === constants.errno.ENOENT) return [];
  const bridges = reply.messages.flatMap(({ payload }) =>
    decodeElements(payload).map(({ key }) => linkOfKey(key)),
  );
  const gone = await missingLinks(host, bridges);
  if (gone.length === 0) return [];
  const script = withdrawIsolationScript(gone, gone.length < bridges.length ? "others" : "none");
  await runNft(options.subject, script, options.environment, options.signal);
  return gone;
}

async function missingLinks(host: HostNetwork, names: Iterable<string>): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    if ((await findLink(host.rtnetlink, name)) === undefined) missing.push(name);
  }
  return missing;
}
