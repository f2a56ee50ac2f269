import { formatIp, parsePrefix } from "./ip.ts";
import type { AttachmentRecord } from "./record.ts";
import type { CniDns, CniResult } from "./result.ts";

/** One entry of the network-status annotation (Kubernetes Network Custom Resource Definition De-facto Standard, section 5). */
export interface NetworkStatusEntry {
  readonly name: string;
  readonly interface: string;
  readonly ips: readonly string[];
  readonly mac: string;
  readonly default: boolean;
  readonly dns: CniDns;
}

/** What a pod got in each of its networks, its own first; those that are not attached are left out. */
export function networkStatusOf(records: readonly AttachmentRecord[]): NetworkStatusEntry[] {
  return records.flatMap(({ network, ifname, position, state }) => {
    if (state.state !== "attached") return [];
    const { result } = state;
    const link = result.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
    return {
      name: network.name,
      interface: ifname,
      ips: podIps(result),
      mac: link?.mac ?? "",
      default: position === 0,
      dns: result.dns,
    };
  });
}

/** The addresses of the pod's own interfaces, without prefix length; those that name no interface count too. */
export function podIps(result: CniResult): string[] {
  const own = result.ips.filter(({ interface: index }) => {
    const link = index === undefined ? undefined : result.interfaces[index];
    return link === undefined || link.sandbox !== undefined;
  });
  return own.map(({ address }) => formatIp(parsePrefix(address).address));
}
