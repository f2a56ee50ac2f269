import { createHash } from "node:crypto";
import { deleteLine, hasJump } from "./rules.ts";
import { optionOf, quoteWord, type IptablesContent, type IptablesRule } from "../iptables/program.ts";
import type { IngressPolicy } from "./conf.ts";

/** The reference plugin's chains of the table filter that keep bridges apart. */
export const isolationChains = { stage1: "CNI-ISOLATION-STAGE-1", stage2: "CNI-ISOLATION-STAGE-2" } as const;

/** The table of the backend nftables, and its set of the bridges that have a policy. */
export const isolationTable = { table: "berth_firewall", set: "bridges" } as const;

const policyComment = "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)";

/** The lines that keep a bridge's pods from those of other such bridges, and from one another where isolated. */
export function isolationLines(
  bridge: string,
  policy: Exclude<IngressPolicy, "open">,
  present: IptablesContent,
): string[] {
  const { stage1, stage2 } = isolationChains;
  const name = quoteWord(bridge);
  const comment = (text: string): string => `-m comment --comment "${text}"`;
  const own = comment(`CNI firewall plugin rules (ingressPolicy: ${policy})`);
  const lines = [stage1, stage2]
    .filter((chain) => !present.chains.has(chain))
    .map((chain) => `:${chain} - [0:0]`);
  // Before what lets pods' connections pass.
  if (!hasJump(present, "FORWARD", stage1)) {
    lines.push(`-I FORWARD 1 ${comment(policyComment)} -j ${stage1}`);
  }
  const rules = present.rules.filter((rule) => rule.words.includes(bridge));
  const has = (chain: string, target: string): boolean =>
    rules.some((rule) => rule.chain === chain && optionOf(rule, "-j") === target);
  if (!has(stage1, stage2)) lines.push(`-I ${stage1} 1 -i ${name} ! -o ${name} ${own} -j ${stage2}`);
  if (policy === "isolated" && !has(stage1, "DROP")) {
    lines.push(`-I ${stage1} 1 -i ${name} -o ${name} ${own} -j DROP`);
  }
  if (!has(stage2, "DROP")) lines.push(`-I ${stage2} 1 -o ${name} ${comment(policyComment)} -j DROP`);
  for (const chain of [stage1, stage2]) {
    if (!hasJump(present, chain, "RETURN")) lines.push(`-A ${chain} ${comment(policyComment)} -j RETURN`);
  }
  return lines;
}

/** The same for nft(8): the same text for the same bridge and policy. */
export function isolationScript(bridge: string, policy: Exclude<IngressPolicy, "open">): string {
  const table = `inet ${isolationTable.table}`;
  const name = JSON.stringify(bridge);
  const own = chainOf(bridge);
  return [
    `add table ${table}`,
    `add set ${table} bridges { type ifname; }`,
    `add map ${table} policies { type ifname : verdict; }`,
    `add chain ${table} forward { type filter hook forward priority -1; }`,
    `flush chain ${table} forward`,
    `add rule ${table} forward iifname vmap @policies`,
    `add chain ${table} ${own}`,
    `flush chain ${table} ${own}`,
    ...(policy === "isolated" ? [`add rule ${table} ${own} oifname ${name} drop`] : []),
    `add rule ${table} ${own} oifname != ${name} oifname @bridges drop`,
    `add element ${table} bridges { ${name} }`,
    `add element ${table} policies { ${name} : jump ${own} }`,
    "",
  ].join("\n");
}

/** The bridges that iptables has isolation rules of. */
export function isolatedBridges(present: IptablesContent): Set<string> {
  return new Set(present.rules.flatMap((rule) => bridgeOf(rule) ?? []));
}

/** The lines that take the rules of these bridges back, with the chains where no other bridge is left in them. */
export function withdrawIsolationLines(bridges: ReadonlySet<string>, present: IptablesContent): string[] {
  const own = present.rules.filter((rule) => bridges.has(bridgeOf(rule) ?? ""));
  if (own.length === 0) return [];
  if ([...isolatedBridges(present)].some((bridge) => !bridges.has(bridge))) return own.map(deleteLine);
  const { stage1, stage2 } = isolationChains;
  const jumps = present.rules.filter((rule) => optionOf(rule, "-j") === stage1);
  const chains = [stage1, stage2].filter((chain) => present.chains.has(chain));
  // Flushed before any is deleted: the first leads to the second.
  return [
    ...jumps.map(deleteLine),
    ...chains.map((chain) => `-F ${chain}`),
    ...chains.map((chain) => `-X ${chain}`),
  ];
}

/** The same for nft(8): the table goes with the last bridge. */
export function withdrawIsolationScript(bridges: readonly string[], remain: "others" | "none"): string {
  const table = `inet ${isolationTable.table}`;
  if (remain === "none") return `delete table ${table}\n`;
  return bridges
    .flatMap((bridge) => [
      `delete element ${table} policies { ${JSON.stringify(bridge)} }`,
      `delete element ${table} bridges { ${JSON.stringify(bridge)} }`,
      `delete chain ${table} ${chainOf(bridge)}`,
    ])
    .concat("")
    .join("\n");
}

/** The bridge that a rule of these chains is about. */
function bridgeOf(rule: IptablesRule): string | undefined {
  const { stage1, stage2 } = isolationChains;
  if (rule.chain !== stage1 && rule.chain !== stage2) return undefined;
  return optionOf(rule, "-i") ?? optionOf(rule, "-o");
}

function chainOf(bridge: string): string {
  return `from_${createHash("sha256").update(bridge).digest("hex").slice(0, 12)}`;
}
