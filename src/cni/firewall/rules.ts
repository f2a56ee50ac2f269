import { createHash } from "node:crypto";
import { optionOf, quoteWord, type IptablesContent, type IptablesRule } from "../iptables/program.ts";
import { addressBits, formatIp, parsePrefix, type IpAddress } from "../ip.ts";
import type { CniResult } from "../result.ts";
import type { FirewallConf, IngressPolicy } from "./conf.ts";

/** The reference plugin's chains of the table filter. */
export const firewallChains = {
  forward: "CNI-FORWARD",
  stage1: "CNI-ISOLATION-STAGE-1",
  stage2: "CNI-ISOLATION-STAGE-2",
} as const;

/** The table of the backend nftables. */
export const firewallTable = "berth_firewall";

const policyComment = "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)";

/** The addresses of a result, of one family. */
export function addressesOfFamily(result: CniResult, family: 4 | 6): IpAddress[] {
  return result.ips
    .map(({ address }) => parsePrefix(address).address)
    .filter((address) => address.family === family);
}

/** The lines of the table filter that let connections of these addresses, and answers to them, pass. */
export function acceptLines(
  conf: FirewallConf,
  addresses: readonly IpAddress[],
  present: IptablesContent,
): string[] {
  const { forward } = firewallChains;
  const lines = [forward, conf.adminChain]
    .filter((chain) => !present.chains.has(chain))
    .map((chain) => `:${chain} - [0:0]`);
  if (!hasJump(present, "FORWARD", forward)) {
    lines.push(`-I FORWARD 1 -m comment --comment "CNI firewall plugin rules" -j ${forward}`);
  }
  if (!hasJump(present, forward, conf.adminChain)) {
    lines.push(
      `-I ${forward} 1 -m comment --comment "CNI firewall plugin admin overrides" -j ${conf.adminChain}`,
    );
  }
  for (const address of addresses) {
    const text = singleOf(address);
    if (!hasAccept(present, "-d", address)) {
      lines.push(`-A ${forward} -d ${text} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`);
    }
    if (!hasAccept(present, "-s", address)) lines.push(`-A ${forward} -s ${text} -j ACCEPT`);
  }
  return lines;
}

/** The lines that take {@link acceptLines} back, with the chains where no pod is left in them. */
export function withdrawLines(
  conf: FirewallConf,
  addresses: readonly IpAddress[],
  present: IptablesContent,
): string[] {
  const { forward } = firewallChains;
  const own = present.rules.filter(
    (rule) => rule.chain === forward && addresses.some((address) => isOf(rule, address)),
  );
  const others = present.rules.filter(
    (rule) => rule.chain === forward && !own.includes(rule) && optionOf(rule, "-j") !== conf.adminChain,
  );
  if (own.length === 0) return [];
  if (others.length > 0) return own.map(deleteLine);
  const jumps = present.rules.filter((rule) => optionOf(rule, "-j") === forward && rule.chain !== forward);
  // The administrator's rules stay, and so does their chain.
  const isAdminUsed = present.rules.some(
    (rule) =>
      rule.chain === conf.adminChain || (rule.chain !== forward && optionOf(rule, "-j") === conf.adminChain),
  );
  return [
    ...jumps.map(deleteLine),
    `-F ${forward}`,
    `-X ${forward}`,
    ...(isAdminUsed || !present.chains.has(conf.adminChain) ? [] : [`-X ${conf.adminChain}`]),
  ];
}

/** An address whose rules are not all there. */
export function missingAccept(
  conf: FirewallConf,
  addresses: readonly IpAddress[],
  present: IptablesContent,
): IpAddress | undefined {
  const { forward } = firewallChains;
  const isEntered = hasJump(present, "FORWARD", forward) && hasJump(present, forward, conf.adminChain);
  return addresses.find(
    (address) => !isEntered || !hasAccept(present, "-s", address) || !hasAccept(present, "-d", address),
  );
}

/** The lines that keep a bridge's pods from those of other such bridges, and from one another where isolated. */
export function isolationLines(
  bridge: string,
  policy: Exclude<IngressPolicy, "open">,
  present: IptablesContent,
): string[] {
  const { stage1, stage2 } = firewallChains;
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
  const table = `inet ${firewallTable}`;
  const name = JSON.stringify(bridge);
  const own = `from_${createHash("sha256").update(bridge).digest("hex").slice(0, 12)}`;
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

function singleOf(address: IpAddress): string {
  return `${formatIp(address)}/${addressBits(address.family)}`;
}

function isOf(rule: IptablesRule, address: IpAddress): boolean {
  return [optionOf(rule, "-s"), optionOf(rule, "-d")].includes(singleOf(address));
}

function hasAccept(present: IptablesContent, option: "-s" | "-d", address: IpAddress): boolean {
  return present.rules.some(
    (rule) =>
      rule.chain === firewallChains.forward &&
      optionOf(rule, option) === singleOf(address) &&
      optionOf(rule, "-j") === "ACCEPT",
  );
}

function hasJump(present: IptablesContent, chain: string, target: string): boolean {
  return present.rules.some((rule) => rule.chain === chain && optionOf(rule, "-j") === target);
}

function deleteLine({ chain, text }: IptablesRule): string {
  return `-D ${chain} ${text}`;
}
