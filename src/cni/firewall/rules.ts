import { optionOf, quoteWord, type IptablesContent, type IptablesRule } from "../iptables/program.ts";
import { addressBits, formatIp, parsePrefix, type IpAddress } from "../ip.ts";
import type { CniResult } from "../result.ts";
import type { FirewallConf } from "./conf.ts";

/** The reference plugin's chain of the table filter that lets pods' connections pass. */
export const forwardChain = "CNI-FORWARD";

/** A pod's addresses, and its mark: the comment of its rules. */
export interface PassingPod {
  readonly owner: string;
  readonly addresses: readonly IpAddress[];
}

/** The addresses of a result, of one family. */
export function addressesOfFamily(result: CniResult, family: 4 | 6): IpAddress[] {
  return result.ips
    .map(({ address }) => parsePrefix(address).address)
    .filter((address) => address.family === family);
}

/** The lines of the table filter that let connections of a pod, and answers to them, pass. */
export function acceptLines(conf: FirewallConf, pod: PassingPod, present: IptablesContent): string[] {
  const lines = [forwardChain, conf.adminChain]
    .filter((chain) => !present.chains.has(chain))
    .map((chain) => `:${chain} - [0:0]`);
  if (!hasJump(present, "FORWARD", forwardChain)) {
    lines.push(`-I FORWARD 1 -m comment --comment "CNI firewall plugin rules" -j ${forwardChain}`);
  }
  if (!hasJump(present, forwardChain, conf.adminChain)) {
    lines.push(
      `-I ${forwardChain} 1 -m comment --comment "CNI firewall plugin admin overrides" -j ${conf.adminChain}`,
    );
  }
  const comment = `-m comment --comment ${quoteWord(pod.owner)}`;
  const own = present.rules.filter((rule) => optionOf(rule, "--comment") === pod.owner);
  for (const address of pod.addresses) {
    const text = singleOf(address);
    if (!hasAccept(own, "-d", address)) {
      lines.push(
        `-A ${forwardChain} -d ${text} -m conntrack --ctstate RELATED,ESTABLISHED ${comment} -j ACCEPT`,
      );
    }
    if (!hasAccept(own, "-s", address)) lines.push(`-A ${forwardChain} -s ${text} ${comment} -j ACCEPT`);
  }
  return lines;
}

/** The rules of a pod: those with its mark, and those of its addresses without any, as the reference plugin writes them. */
export function isRuleOf({ owner, addresses }: PassingPod): (rule: IptablesRule) => boolean {
  return (rule) => {
    const comment = optionOf(rule, "--comment");
    return comment === undefined ? addresses.some((address) => isAbout(rule, address)) : comment === owner;
  };
}

/** The lines that take rules of {@link acceptLines} back, with the chains where no pod is left in them. */
export function withdrawLines(
  conf: FirewallConf,
  isGoing: (rule: IptablesRule) => boolean,
  present: IptablesContent,
): string[] {
  const own = present.rules.filter(
    (rule) => rule.chain === forwardChain && optionOf(rule, "-j") === "ACCEPT" && isGoing(rule),
  );
  const others = present.rules.filter(
    (rule) => rule.chain === forwardChain && !own.includes(rule) && optionOf(rule, "-j") !== conf.adminChain,
  );
  if (own.length === 0) return [];
  if (others.length > 0) return own.map(deleteLine);
  const jumps = present.rules.filter(
    (rule) => optionOf(rule, "-j") === forwardChain && rule.chain !== forwardChain,
  );
  // The administrator's rules stay, and so does their chain.
  const isAdminUsed = present.rules.some(
    (rule) =>
      rule.chain === conf.adminChain ||
      (rule.chain !== forwardChain && optionOf(rule, "-j") === conf.adminChain),
  );
  return [
    ...jumps.map(deleteLine),
    `-F ${forwardChain}`,
    `-X ${forwardChain}`,
    ...(isAdminUsed || !present.chains.has(conf.adminChain) ? [] : [`-X ${conf.adminChain}`]),
  ];
}

/** An address whose rules are not all there. */
export function missingAccept(
  conf: FirewallConf,
  pod: PassingPod,
  present: IptablesContent,
): IpAddress | undefined {
  const isEntered =
    hasJump(present, "FORWARD", forwardChain) && hasJump(present, forwardChain, conf.adminChain);
  const own = present.rules.filter(isRuleOf(pod));
  return pod.addresses.find(
    (address) => !isEntered || !hasAccept(own, "-s", address) || !hasAccept(own, "-d", address),
  );
}

/** True where a chain leads to another one. */
export function hasJump(present: IptablesContent, chain: string, target: string): boolean {
  return present.rules.some((rule) => rule.chain === chain && optionOf(rule, "-j") === target);
}

/** The line that deletes a rule. */
export function deleteLine({ chain, text }: IptablesRule): string {
  return `-D ${chain} ${text}`;
}

function singleOf(address: IpAddress): string {
  return `${formatIp(address)}/${addressBits(address.family)}`;
}

function isAbout(rule: IptablesRule, address: IpAddress): boolean {
  return [optionOf(rule, "-s"), optionOf(rule, "-d")].includes(singleOf(address));
}

function hasAccept(rules: readonly IptablesRule[], option: "-s" | "-d", address: IpAddress): boolean {
  return rules.some(
    (rule) =>
      rule.chain === forwardChain &&
      optionOf(rule, option) === singleOf(address) &&
      optionOf(rule, "-j") === "ACCEPT",
  );
}
