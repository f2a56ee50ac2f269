import { constants } from "node:os";
import { SysError } from "../../sys/index.ts";
import { findLink } from "./device.ts";
import type { HostNetwork } from "../host-network.ts";
import { decodeTableName, deleteTable, getTable, listTables } from "../netlink/nftables.ts";
import { runNft } from "../nft.ts";

const prefix = "berth_mac_";

/**
 * Drops what the pod sends with another hardware address than its own: an nftables table for each pod, asked where
 * packets arrive at the host's end of its link.
 */
export async function guardMac(
  host: HostNetwork,
  subject: string,
  link: string,
  mac: string,
  signal: AbortSignal,
): Promise<void> {
  const name = `netdev ${prefix}${link}`;
  const hook = `{ type filter hook ingress device "${link}" priority -500; policy accept; }`;
  const script = [
    // Adding it first makes deleting it safe.
    `add table ${name}`,
    `delete table ${name}`,
    `add table ${name}`,
    `add chain ${name} arriving ${hook}`,
    `add rule ${name} arriving ether saddr != ${mac} drop`,
    "",
  ].join("\n");
  await runNft(subject, script, host.environment, signal);
}

/** Takes the pod's table away; one that is not there is fine. */
export async function unguardMac({ netfilter }: HostNetwork, link: string): Promise<void> {
  const name = `${prefix}${link}`;
  const [present] = await netfilter.request([getTable("netdev", name)]);
  // A kernel without such tables has none.
  if (present?.acknowledgement.errno !== 0) return;
  const failure = await netfilter.batch([deleteTable("netdev", name)]);
  if (failure === undefined || failure.errno === constants.errno.ENOENT) return;
  throw new SysError("netlink", failure.errno, name, failure.text);
}

/** Takes away the tables of links that are gone. */
export async function removeStaleGuards(host: HostNetwork): Promise<void> {
  const [reply] = await host.netfilter.request([listTables("netdev")]);
  const names = (reply?.messages ?? []).map(({ payload }) => decodeTableName(payload));
  for (const name of names.filter((one) => one.startsWith(prefix))) {
    const link = name.slice(prefix.length);
    if ((await findLink(host.rtnetlink, link)) === undefined) await unguardMac(host, link);
  }
}
