import { createHash } from "node:crypto";
import { formatPrefix, networkOf, type IpPrefix } from "./ip.ts";
import { getTable } from "./netlink/nftables.ts";
import type { NetlinkSocket } from "./netlink/socket.ts";
import { runNft } from "./nft.ts";

/** What the masquerading of pods needs from outside. */
export interface MasqueradeOptions {
  /** A netfilter socket of the host's namespace. */
  readonly netfilter: NetlinkSocket;
  /** For finding nft(8): PATH. */
  readonly environment: Readonly<Record<string, string>>;
}

const families = [4, 6] as const;
const multicast = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/**
 * Gives pods the host's address when they talk to the world: one nftables table of Berth's own for each network,
 * matching by the pods' subnets, so that a pod more or less changes nothing and no process is started for it.
 *
 * The table stays when the last pod has gone: its rules match nothing then, and to make it anew costs the next pod
 * several milliseconds. {@link remove} takes it away.
 */
export class Masquerade {
  readonly #options: MasqueradeOptions;
  /** The subnets of each network whose table this process has written. */
  readonly #subnets = new Map<string, Set<string>>();
  /** The subnets of each network that pods are not masqueraded towards. */
  readonly #spared = new Map<string, readonly string[]>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: MasqueradeOptions) {
    this.#options = options;
  }

  /** Sees to it that the network's table is there with these addresses' subnets. Throws where nft is missing or fails. */
  ensure(network: string, addresses: readonly IpPrefix[], signal: AbortSignal): Promise<void> {
    const subnets = addresses.map((address) => formatPrefix(networkOf(address)));
    const result = this.#last.then(() => this.#ensureOne(network, subnets, signal));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Lets pods keep their own address towards these subnets, in place of those named before. */
  spare(network: string, subnets: readonly IpPrefix[], signal: AbortSignal): Promise<void> {
    const spared = subnets.map(formatPrefix).sort();
    const result = this.#last.then(async () => {
      this.#spared.set(network, spared);
      // A table that comes later has them from the start.
      if (await this.#exists(network))
        await this.#run(network, `${spareLines(network, spared).join("\n")}\n`, signal);
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Deletes the network's table; one that is not there is fine. */
  remove(network: string, signal: AbortSignal): Promise<void> {
    const result = this.#last.then(async () => {
      this.#subnets.delete(network);
      this.#spared.delete(network);
      if (!(await this.#exists(network))) return;
      await this.#run(network, `delete table inet ${tableName(network)}\n`, signal);
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #ensureOne(network: string, subnets: readonly string[], signal: AbortSignal): Promise<void> {
    const known = this.#subnets.get(network) ?? new Set();
    const isKnown = subnets.every((subnet) => known.has(subnet));
    // Somebody may have flushed the whole ruleset since.
    if (isKnown && (await this.#exists(network))) return;
    const all = new Set([...known, ...subnets]);
    await this.#run(network, tableScript(network, [...all], this.#spared.get(network)), signal);
    this.#subnets.set(network, all);
  }

  async #exists(network: string): Promise<boolean> {
    const [reply] = await this.#options.netfilter.request([getTable("inet", tableName(network))]);
    return reply?.acknowledgement.errno === 0;
  }

  #run(network: string, script: string, signal: AbortSignal): Promise<void> {
    return runNft(`network ${network}: ipMasq`, script, this.#options.environment, signal);
  }
}

/** A network's table: a hash, because a network's name may hold what nft takes for syntax. */
export function tableName(network: string): string {
  return `berth_masq_${createHash("sha256").update(network).digest("hex").slice(0, 12)}`;
}

/**
 * The nft script that makes a network's table, or completes it, in one transaction. Subnets are only added: other
 * processes, and this daemon before its last restart, know others. `spared` undefined leaves those as they are.
 */
export function tableScript(
  network: string,
  subnets: readonly string[],
  spared: readonly string[] | undefined,
): string {
  const table = `inet ${tableName(network)}`;
  const ofFamily = (family: 4 | 6): string[] =>
    subnets.filter((subnet) => subnet.includes(":") === (family === 6)).sort();
  return [
    `add table ${table}`,
    ...spareLines(network, spared),
    ...families.map((family) => {
      const type = `ipv${family}_addr`;
      return `add set ${table} ${subnetSet(family)} { type ${type}; flags interval; auto-merge; }`;
    }),
    `add chain ${table} postrouting { type nat hook postrouting priority srcnat; policy accept; }`,
    `flush chain ${table} postrouting`,
    ...families.map((family) => `add rule ${table} postrouting ${ruleOf(network, family)}`),
    ...families.flatMap((family) => {
      const own = ofFamily(family);
      return own.length === 0 ? [] : [`add element ${table} ${subnetSet(family)} { ${own.join(", ")} }`];
    }),
    "",
  ].join("\n");
}

function ruleOf(network: string, family: 4 | 6): string {
  const ip = family === 4 ? "ip" : "ip6";
  return [
    `${ip} saddr @${subnetSet(family)}`,
    ...[`@${subnetSet(family)}`, `@${sparedSet(family)}`, multicast[family]].map(
      (other) => `${ip} daddr != ${other}`,
    ),
    `masquerade comment "pods of ${network}"`,
  ].join(" ");
}

/** The nft commands that replace the subnets towards which a network's pods keep their own address. */
function spareLines(network: string, spared: readonly string[] | undefined): string[] {
  return families.flatMap((family) => {
    const own = spared?.filter((subnet) => subnet.includes(":") === (family === 6)) ?? [];
    const set = `inet ${tableName(network)} ${sparedSet(family)}`;
    return [
      `add set ${set} { type ipv${family}_addr; flags interval; }`,
      ...(spared === undefined ? [] : [`flush set ${set}`]),
      ...(own.length === 0 ? [] : [`add element ${set} { ${own.join(", ")} }`]),
    ];
  });
}

function sparedSet(family: 4 | 6): string {
  return `spared${family}`;
}

function subnetSet(family: 4 | 6): string {
  return `subnets${family}`;
}
