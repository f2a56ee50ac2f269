import { ipBytes, lastOf, overlaps, plus, type IpPrefix } from "../ip.ts";
import type { NetlinkMessage } from "../netlink/message.ts";
import { addElements, type SetElement } from "../netlink/nftables.ts";
import {
  compare,
  connectionStatus,
  destinationNat,
  drop,
  fibDestinationType,
  jump,
  lookUp,
  mask,
  masquerade,
  meta,
  newChain,
  newRule,
  newSet,
  newTable,
  payload,
  type Expression,
  type SetDefinition,
} from "../netlink/nftables-rules.ts";
import type { PortmapConf } from "./conf.ts";
import { chainComment, localnetSet, portsTable, setNames, subnetsOf } from "./table.ts";

/** RTN_LOCAL: an address of this host. */
const localAddress = u32(2);
/** IPS_DST_NAT: the connection was led to another destination. */
const destinationChanged = u32(0x20);
/** Where a header has the source and the destination, and the family's number (NFPROTO_). */
const layouts = {
  4: { number: 2, source: 12, destination: 16, bytes: 4 },
  6: { number: 10, source: 8, destination: 24, bytes: 16 },
} as const;
const destinationPort = { offset: 2, bytes: 2 } as const;
const families = [4, 6] as const;
/** The register of sixteen bytes that everything is loaded into; more fields of a key follow in those of four (NFT_REG32_). */
const first = 1;
const firstOfFour = 8;

/**
 * The messages that make a network's table as `chainScript` and `subnetScript` have it, without a process; undefined
 * where that takes nft(8): conditions are written in its language, and it makes one range of those that overlap.
 */
export function tableMessages(conf: PortmapConf, pods: readonly IpPrefix[]): NetlinkMessage[] | undefined {
  const subnets = { 4: subnetsOf(pods, 4), 6: subnetsOf(pods, 6) };
  const isForNft = families.some(
    (family) => conf.conditions[family].length > 0 || hasOverlap(subnets[family]),
  );
  if (isForNft) return undefined;
  const table = portsTable(conf.network);
  const comment = chainComment(conf.network);
  const entry = { type: "nat", priority: -100 } as const;
  const rules = (
    chain: string,
    make: (family: 4 | 6) => readonly (readonly Expression[])[],
  ): NetlinkMessage[] =>
    families.flatMap((family) => make(family).map((one) => newRule(table, chain, one, comment)));
  const entries = (family: 4 | 6): Expression[][] => [
    [...ofFamily(family), fibDestinationType(first), compare(first, "is", localAddress), jump(`to${family}`)],
  ];
  return [
    newTable(table),
    ...sets().map((set, index) => newSet(table, index + 1, set)),
    ...families.flatMap((family) => [
      newChain(table, `to${family}`),
      ...targets(family).map((rule) => newRule(table, `to${family}`, rule)),
    ]),
    newChain(table, "prerouting", { ...entry, hook: "prerouting" }),
    ...rules("prerouting", entries),
    newChain(table, "output", { ...entry, hook: "output" }),
    ...rules("output", entries),
    newChain(table, "postrouting", { type: "nat", hook: "postrouting", priority: 100 }),
    ...rules("postrouting", (family) => [masqueraded(family, conf)]),
    newChain(table, "guard", { type: "filter", hook: "prerouting", priority: -300 }),
    ...(["destination", "source"] as const).map((side) => newRule(table, "guard", guard(side))),
    ...families
      .filter((family) => subnets[family].length > 0)
      .map((family) => addElements({ table, set: `subnets${family}` }, rangesOf(subnets[family]))),
  ];
}

function hasOverlap(subnets: readonly IpPrefix[]): boolean {
  return subnets.some((one, index) => subnets.slice(index + 1).some((other) => overlaps(one, other)));
}

function sets(): SetDefinition[] {
  return [
    ...families.flatMap((family): SetDefinition[] => {
      const address = `ipv${family}_addr` as const;
      const port = ["inet_proto", "inet_service"] as const;
      const data = [address, "inet_service"] as const;
      return [
        { name: setNames.ports[family], key: port, data, elements: "single" },
        { name: setNames.addressPorts[family], key: [address, ...port], data, elements: "single" },
        { name: setNames.pods[family], key: [address], elements: "single" },
        { name: `subnets${family}`, key: [address], elements: "ranges" },
      ];
    }),
    { name: localnetSet, key: ["ifname"], elements: "single" },
  ];
}

/** A port of one address goes before that of every address. */
function targets(family: 4 | 6): Expression[][] {
  const { destination, bytes } = layouts[family];
  const words = bytes / 4;
  const port = (register: number): Expression =>
    payload("transport", destinationPort.offset, destinationPort.bytes, register);
  const target = destinationNat(family, first, firstOfFour + words);
  return [
    [
      ...ofFamily(family),
      payload("network", destination, bytes, first),
      meta("l4proto", firstOfFour + words),
      port(firstOfFour + words + 1),
      lookUp(setNames.addressPorts[family], first, first),
      target,
    ],
    [meta("l4proto", first), port(firstOfFour + 1), lookUp(setNames.ports[family], first, first), target],
  ];
}

function masqueraded(family: 4 | 6, { masqAll }: PortmapConf): Expression[] {
  const { source, destination, bytes } = layouts[family];
  return [
    connectionStatus(first),
    mask(first, destinationChanged),
    compare(first, "is-not", u32(0)),
    ...ofFamily(family),
    ...(masqAll ? [] : [payload("network", source, bytes, first), lookUp(`subnets${family}`, first)]),
    payload("network", destination, bytes, first),
    lookUp(setNames.pods[family], first),
    masquerade(),
  ];
}

/** What is of 127.0.0.0/8 and comes by a link that may route it, as `chainScript` explains. */
function guard(side: "source" | "destination"): Expression[] {
  return [
    ...[meta("iifname", first), lookUp(localnetSet, first), ...ofFamily(4)],
    ...[payload("network", layouts[4][side], 1, first), compare(first, "is", Buffer.of(127)), drop()],
  ];
}

function ofFamily(family: 4 | 6): Expression[] {
  return [meta("nfproto", first), compare(first, "is", Buffer.of(layouts[family].number))];
}

/**
 * A range is its first address and the first one behind it. What lies before all of them counts as a range that ends, by
 * which nft(8) reads the set.
 */
function rangesOf(subnets: readonly IpPrefix[]): SetElement[] {
  const bounds = subnets.flatMap((subnet): SetElement[] => {
    const start = ipBytes(subnet.address);
    const end = ipBytes(plus(lastOf(subnet), 1n));
    // Behind the last address of all there is nothing.
    const isLast = end.compare(start) <= 0;
    return [bound(start), ...(isLast ? [] : [bound(end, "range-end")])];
  });
  const zero = Buffer.alloc(bounds[0]?.key.length ?? 0);
  return bounds.some(({ key }) => key.equals(zero)) ? bounds : [bound(zero, "range-end"), ...bounds];
}

function bound(key: Buffer, place?: "range-end"): SetElement {
  return { key, comment: "", ...(place === undefined ? {} : { place }) };
}

/** Four bytes in the machine's order, which is x86-64's and arm64's. */
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
