import { createHash } from "node:crypto";
import { optionOf, quoteWord, type IptablesContent, type IptablesRule } from "../iptables/program.ts";
import { formatIp, formatPrefix, networkOf, type IpPrefix } from "../ip.ts";
import type { HostPort, PortmapConf } from "./conf.ts";

/** The chains that all pods share; the reference plugin uses the same, so that either can undo what the other did. */
export const chains = {
  ports: "CNI-HOSTPORT-DNAT",
  setMark: "CNI-HOSTPORT-SETMARK",
  masquerade: "CNI-HOSTPORT-MASQ",
  guard: "CNI-HOSTPORT-GUARD",
} as const;

const podChainPrefix = "CNI-DN-";
const podChainBytes = 28;
/** Ports that one multiport match takes. */
const portsAtOnce = 15;
const maxCommentBytes = 255;

/** The chain of one container's ports. */
export function podChain(network: string, containerId: string): string {
  const hash = createHash("sha512").update(`${network}${containerId}`).digest("hex");
  return `${podChainPrefix}${hash}`.slice(0, podChainBytes);
}

/** The lines that give a pod its ports in the table nat, and what all pods share where that is missing. */
export function addLines(
  conf: PortmapConf,
  containerId: string,
  pod: IpPrefix,
  present: IptablesContent,
): string[] {
  const own = podChain(conf.network, containerId);
  const ports = conf.ports.filter(({ families }) => families.includes(pod.address.family));
  const setMark = conf.externalSetMarkChain ?? chains.setMark;
  return [
    ...sharedLines(conf, present),
    ...referencesTo(own, present).map(deleteLine),
    `:${own} - [0:0]`,
    ...ports.flatMap((port) => portRules(conf, port, pod, setMark)).map((rule) => `-A ${own} ${rule}`),
    ...entryRules(conf, containerId, pod.address.family, ports).map(
      (rule) => `-A ${chains.ports} ${rule} -j ${own}`,
    ),
  ];
}

/** The lines that remove chains of pods, and what all pods share where the last one goes. */
export function removeLines(podChains: readonly string[], present: IptablesContent): string[] {
  const going = new Set(podChains.filter((chain) => present.chains.has(chain)));
  if (going.size === 0) return [];
  const stays = [...present.chains].some((chain) => chain.startsWith(podChainPrefix) && !going.has(chain));
  if (!stays) {
    for (const chain of [chains.ports, chains.setMark, chains.masquerade]) {
      if (present.chains.has(chain)) going.add(chain);
    }
  }
  // Rules of a chain that goes are flushed: deleted one by one before that, they would count as uses still.
  const entries = [...going].flatMap((chain) => referencesTo(chain, present));
  return [
    ...entries.filter(({ chain }) => !going.has(chain)).map(deleteLine),
    ...[...going].map((chain) => `-F ${chain}`),
    ...[...going].map((chain) => `-X ${chain}`),
  ];
}

/** True where the container's chain is there and holds every port. */
export function isComplete(
  conf: PortmapConf,
  containerId: string,
  pod: IpPrefix,
  present: IptablesContent,
): boolean {
  const own = podChain(conf.network, containerId);
  const targets = present.rules.filter((rule) => rule.chain === own && optionOf(rule, "-j") === "DNAT");
  const wanted = conf.ports.filter(({ families }) => families.includes(pod.address.family));
  const isEntered = referencesTo(own, present).some(({ chain }) => chain === chains.ports);
  return (
    (isEntered || wanted.length === 0) &&
    wanted.every((port) =>
      targets.some(
        (rule) => isSamePort(rule, port) && optionOf(rule, "--to-destination") === targetOf(port, pod),
      ),
    )
  );
}

/** A port that the pod wants and another one has. */
export function takenPort(
  conf: PortmapConf,
  containerId: string,
  family: 4 | 6,
  present: IptablesContent,
): HostPort | undefined {
  const own = podChain(conf.network, containerId);
  const others = present.rules.filter(
    (rule) => rule.chain.startsWith(podChainPrefix) && rule.chain !== own && optionOf(rule, "-j") === "DNAT",
  );
  return conf.ports.find(
    (port) => port.families.includes(family) && others.some((rule) => isSamePort(rule, port)),
  );
}

/** The chains of a network's containers that are not among these, by the comments of the rules that lead there. */
export function strangers(network: string, valid: ReadonlySet<string>, present: IptablesContent): string[] {
  return present.rules.flatMap((rule) => {
    const target = optionOf(rule, "-j") ?? "";
    const named = /^dnat name: "(.*)" id: "([^"]*)/.exec(optionOf(rule, "--comment") ?? "");
    const isOwn = rule.chain === chains.ports && target.startsWith(podChainPrefix) && named?.[1] === network;
    return isOwn && ![...valid].some((id) => podChain(network, id) === target) ? [target] : [];
  });
}

/** The lines of the table raw that keep a link's neighbours from 127.0.0.0/8 (CVE-2020-8558). */
export function guardLines(link: string, present: IptablesContent): string[] {
  const lines = present.chains.has(chains.guard) ? [] : [`:${chains.guard} - [0:0]`];
  const isEntered = present.rules.some((rule) => optionOf(rule, "-j") === chains.guard);
  if (!isEntered) lines.push(`-A PREROUTING -j ${chains.guard}`);
  if (guardedLinks(present).includes(link)) return lines;
  const name = quoteWord(link);
  return [
    ...lines,
    `-A ${chains.guard} -i ${name} -d 127.0.0.0/8 -j DROP`,
    `-A ${chains.guard} -i ${name} -s 127.0.0.0/8 -j DROP`,
  ];
}

/** The links that {@link guardLines} were written for. */
export function guardedLinks(present: IptablesContent): string[] {
  const own = present.rules.filter(({ chain }) => chain === chains.guard);
  return [...new Set(own.flatMap((rule) => optionOf(rule, "-i") ?? []))];
}

/** The lines of the table raw that take all guards away. */
export function unguardLines(present: IptablesContent): string[] {
  if (!present.chains.has(chains.guard)) return [];
  return [...referencesTo(chains.guard, present).map(deleteLine), `-F ${chains.guard}`, `-X ${chains.guard}`];
}

function sharedLines(conf: PortmapConf, present: IptablesContent): string[] {
  const lines: string[] = [];
  const mark = `0x${(2 ** conf.markMasqBit).toString(16)}`;
  const declare = (chain: string): void => {
    if (!present.chains.has(chain)) lines.push(`:${chain} - [0:0]`);
  };
  const has = (chain: string, word: string): boolean =>
    present.rules.some((rule) => rule.chain === chain && rule.words.includes(word));
  if (conf.snat && conf.externalSetMarkChain === undefined) {
    declare(chains.setMark);
    declare(chains.masquerade);
    if (!has(chains.setMark, `${mark}/${mark}`)) {
      lines.push(
        `-A ${chains.setMark} -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark ${mark}/${mark}`,
      );
    }
    if (!has(chains.masquerade, `${mark}/${mark}`)) {
      lines.push(`-A ${chains.masquerade} -m mark --mark ${mark}/${mark} -j MASQUERADE`);
    }
    // First, for the rules of ipMasq let these connections pass.
    if (!has("POSTROUTING", chains.masquerade)) {
      lines.push(
        `-I POSTROUTING 1 -m comment --comment "CNI portfwd requiring masquerade" -j ${chains.masquerade}`,
      );
    }
  }
  declare(chains.ports);
  for (const chain of ["PREROUTING", "OUTPUT"]) {
    if (!has(chain, chains.ports)) {
      lines.push(`-A ${chain} -m addrtype --dst-type LOCAL -j ${chains.ports}`);
    }
  }
  return lines;
}

function portRules(conf: PortmapConf, port: HostPort, pod: IpPrefix, setMark: string): string[] {
  const { family } = pod.address;
  const address = port.hostIp === undefined ? "" : ` -d ${formatIp(port.hostIp)}`;
  const match = `-p ${port.protocol} -m ${port.protocol} --dport ${port.hostPort}${address}`;
  const everywhere = family === 4 ? "0.0.0.0/0" : "::/0";
  const sources = conf.masqAll
    ? [everywhere]
    : [formatPrefix(networkOf(pod)), ...(family === 4 ? ["127.0.0.1"] : [])];
  return [
    ...(conf.snat ? sources.map((source) => `${match} -s ${source} -j ${setMark}`) : []),
    `${match} -j DNAT --to-destination ${targetOf(port, pod)}`,
  ];
}

function entryRules(
  conf: PortmapConf,
  containerId: string,
  family: 4 | 6,
  ports: readonly HostPort[],
): string[] {
  const comment = `dnat name: "${conf.network}" id: "${containerId}"`.slice(0, maxCommentBytes);
  const conditions = conf.conditions[family].map((word) => (word === "!" ? word : quoteWord(word)));
  return [...Map.groupBy(ports, ({ protocol }) => protocol)].flatMap(([protocol, own]) => {
    const numbers = own.map(({ hostPort }) => hostPort);
    const lists = Array.from({ length: Math.ceil(numbers.length / portsAtOnce) }, (_, index) =>
      numbers.slice(index * portsAtOnce, (index + 1) * portsAtOnce).join(","),
    );
    return lists.map((list) =>
      [
        `-p ${protocol} -m comment --comment ${quoteWord(comment)} -m multiport --dports ${list}`,
        ...conditions,
      ].join(" "),
    );
  });
}

function targetOf({ containerPort }: HostPort, { address }: IpPrefix): string {
  const text = formatIp(address);
  return `${address.family === 4 ? text : `[${text}]`}:${containerPort}`;
}

function isSamePort(rule: IptablesRule, { protocol, hostPort, hostIp }: HostPort): boolean {
  const address = optionOf(rule, "-d")?.replace(/\/(32|128)$/, "");
  return (
    optionOf(rule, "-p") === protocol &&
    optionOf(rule, "--dport") === String(hostPort) &&
    address === (hostIp === undefined ? undefined : formatIp(hostIp))
  );
}

function referencesTo(target: string, present: IptablesContent): IptablesRule[] {
  return present.rules.filter((rule) => optionOf(rule, "-j") === target);
}

function deleteLine({ chain, text }: IptablesRule): string {
  return `-D ${chain} ${text}`;
}
