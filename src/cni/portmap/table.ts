import { createHash } from "node:crypto";
import { formatPrefix, ipBytes, networkOf, parsePrefix, type IpPrefix } from "../ip.ts";
import type { SetElement } from "../netlink/nftables.ts";
import type { HostPort, PortmapConf } from "./conf.ts";

/**
 * The sets of a network's table. `ports` lead from a protocol and a port of the host to an address and a port of a
 * pod, `addressPorts` from an address of the host too. `pods` are those that may need masquerading.
 */
export const setNames = {
  ports: { 4: "ports4", 6: "ports6" },
  addressPorts: { 4: "address_ports4", 6: "address_ports6" },
  pods: { 4: "pods4", 6: "pods6" },
} as const;

/** The set of the links that may route 127.0.0.0/8 because of this table. */
export const localnetSet = "localnet";

const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const;
/** IFNAMSIZ: bytes of an interface's name in a set. */
const interfaceNameBytes = 16;

/** An element and the set it belongs to. */
export interface PlacedElement {
  readonly set: string;
  readonly element: SetElement;
}

/** A network's table: a hash, because a network's name may hold what nft takes for syntax. */
export function portsTable(network: string): string {
  return `berth_ports_${createHash("sha256").update(network).digest("hex").slice(0, 12)}`;
}

/** The elements that a pod's ports become. */
export function elementsOf(conf: PortmapConf, pods: readonly IpPrefix[], comment: string): PlacedElement[] {
  return pods.flatMap(({ address }) => {
    const { family } = address;
    const elements = conf.ports.flatMap((port) => {
      if (!port.families.includes(family)) return [];
      const target = Buffer.concat([ipBytes(address), field16(port.containerPort)]);
      const set = port.hostIp === undefined ? setNames.ports[family] : setNames.addressPorts[family];
      return [{ set, element: { key: keyOf(port), data: target, comment } }];
    });
    if (!conf.snat || elements.length === 0) return elements;
    return [...elements, { set: setNames.pods[family], element: { key: ipBytes(address), comment } }];
  });
}

/** What a key of the maps stands for: `8080` of `udp`. */
export function portOfKey(key: Buffer): { readonly protocol: number; readonly port: number } {
  const fields = key.subarray(-8);
  return { protocol: fields.readUInt8(0), port: fields.readUInt16BE(4) };
}

/** The names of the sets that hold pods' ports and addresses. */
export const podSets: readonly string[] = Object.values(setNames).flatMap((names) => Object.values(names));

/** The family of a set's addresses. */
export function familyOfSet(set: string): 4 | 6 {
  return set.endsWith("4") ? 4 : 6;
}

/** The link that an element of {@link localnetSet} stands for. */
export function linkOfKey(key: Buffer): string {
  const end = key.indexOf(0);
  return key.toString("utf8", 0, end === -1 ? key.length : end);
}

/** The key of a link in {@link localnetSet}. */
export function linkKey(name: string): Buffer {
  const key = Buffer.alloc(interfaceNameBytes);
  key.write(name);
  return key;
}

/** What the rules say of themselves to people. */
export function chainComment(network: string): string {
  return `host ports of ${network.slice(0, 64)}`;
}

/** The rules of a network; the same text for the same configuration. */
export function chainScript(conf: PortmapConf): string {
  const table = `inet ${portsTable(conf.network)}`;
  const comment = `comment "${chainComment(conf.network)}"`;
  const chain = (name: string, hook: string, rules: readonly string[]): string[] => [
    `add chain ${table} ${name} ${hook}`.trimEnd(),
    `flush chain ${table} ${name}`,
    ...rules.map((rule) => `add rule ${table} ${name} ${rule}`),
  ];
  const entries = ([4, 6] as const).map((family) =>
    [
      `meta nfproto ipv${family}`,
      ...conf.conditions[family],
      `fib daddr type local jump to${family}`,
      comment,
    ].join(" "),
  );
  const masquerade = ([4, 6] as const).map((family) => {
    const ip = family === 4 ? "ip" : "ip6";
    const source = conf.masqAll ? "" : `${ip} saddr @subnets${family} `;
    return `ct status dnat ${source}${ip} daddr @${setNames.pods[family]} masquerade ${comment}`;
  });
  return [
    `add table ${table}`,
    ...sets(table),
    ...targets(chain),
    ...chain("prerouting", "{ type nat hook prerouting priority -100; }", entries),
    ...chain("output", "{ type nat hook output priority -100; }", entries),
    ...chain("postrouting", "{ type nat hook postrouting priority 100; }", masquerade),
    // Such a link would else let its neighbours reach what listens on 127.0.0.1 alone (CVE-2020-8558). Before NAT: what
    // is sent to 127.0.0.0/8 here was never an answer.
    ...chain("guard", "{ type filter hook prerouting priority -300; }", [
      `iifname @${localnetSet} ip daddr 127.0.0.0/8 drop`,
      `iifname @${localnetSet} ip saddr 127.0.0.0/8 drop`,
    ]),
    "",
  ].join("\n");
}

/** Whose connections are masqueraded: neighbours', for their answers would else not come this way, and 127.0.0.1's. */
export function subnetsOf(pods: readonly IpPrefix[], family: 4 | 6): IpPrefix[] {
  const own = pods.filter(({ address }) => address.family === family).map(networkOf);
  return family === 4 && own.length > 0 ? [parsePrefix("127.0.0.0/8"), ...own] : own;
}

/** Adds the pods' subnets. */
export function subnetScript(network: string, pods: readonly IpPrefix[]): string {
  const table = `inet ${portsTable(network)}`;
  const lines = ([4, 6] as const).flatMap((family) => {
    const subnets = subnetsOf(pods, family).map(formatPrefix);
    return subnets.length === 0 ? [] : [`add element ${table} subnets${family} { ${subnets.join(", ")} }`];
  });
  return `${lines.join("\n")}\n`;
}

function sets(table: string): string[] {
  return ([4, 6] as const)
    .flatMap((family) => {
      const address = `ipv${family}_addr`;
      const port = "inet_proto . inet_service";
      const target = `${address} . inet_service`;
      return [
        `add map ${table} ${setNames.ports[family]} { type ${port} : ${target}; }`,
        `add map ${table} ${setNames.addressPorts[family]} { type ${address} . ${port} : ${target}; }`,
        `add set ${table} ${setNames.pods[family]} { type ${address}; }`,
        `add set ${table} subnets${family} { type ${address}; flags interval; auto-merge; }`,
      ];
    })
    .concat(`add set ${table} ${localnetSet} { type ifname; }`);
}

/** A port of one address goes before that of every address. */
function targets(chain: (name: string, hook: string, rules: readonly string[]) => string[]): string[] {
  return ([4, 6] as const).flatMap((family) => {
    const ip = family === 4 ? "ip" : "ip6";
    const port = "meta l4proto . th dport";
    return chain(`to${family}`, "", [
      `dnat ${ip} to ${ip} daddr . ${port} map @${setNames.addressPorts[family]}`,
      `dnat ${ip} to ${port} map @${setNames.ports[family]}`,
    ]);
  });
}

/** The fields of a key begin at multiples of four bytes. */
function keyOf({ protocol, hostPort, hostIp }: HostPort): Buffer {
  const address = hostIp === undefined ? Buffer.alloc(0) : ipBytes(hostIp);
  return Buffer.concat([address, Buffer.of(protocolNumbers[protocol], 0, 0, 0), field16(hostPort)]);
}

function field16(port: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(port);
  return bytes;
}
