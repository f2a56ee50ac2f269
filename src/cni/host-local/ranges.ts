import { RuntimeError } from "../../core/errors.ts";
import {
  addressBits,
  contains,
  formatIp,
  formatPrefix,
  lastOf,
  networkOf,
  overlaps,
  parseIp,
  parsePrefix,
  plus,
  sameIp,
  type IpAddress,
  type IpPrefix,
} from "../ip.ts";
import { stringField, type JsonObject } from "../json.ts";

/** Addresses of one subnet that may be given out, both ends included; the gateway among them is not. */
export interface Range {
  readonly subnet: IpPrefix;
  readonly start: IpAddress;
  readonly end: IpAddress;
  readonly gateway: IpAddress;
}

/** Ranges of one family, of which a pod gets one address. */
export type RangeSet = readonly Range[];

/** Reads a range with the reference plugin's rules for what is left out; throws `invalid-argument`. */
export function readRange(object: JsonObject, what: string): Range {
  const field = (key: string): IpAddress | undefined => {
    const text = stringField(object, key, what);
    return text === "" ? undefined : parseIp(text);
  };
  const subnet = parsePrefix(stringField(object, "subnet", what));
  const network = networkOf(subnet);
  const name = formatPrefix(subnet);
  if (!sameIp(network.address, subnet.address)) {
    throw invalid(what, `subnet ${name} has host bits set: its network is ${formatPrefix(network)}`);
  }
  if (subnet.length > addressBits(subnet.address.family) - 2) {
    throw invalid(what, `subnet ${name} is too small to give out addresses`);
  }
  const range = {
    subnet,
    start: field("rangeStart") ?? plus(network.address, 1n),
    end: field("rangeEnd") ?? lastUsable(subnet),
    gateway: field("gateway") ?? plus(network.address, 1n),
  };
  for (const [key, address] of [["rangeStart", range.start] as const, ["rangeEnd", range.end] as const]) {
    if (!contains(subnet, address)) throw invalid(what, `${key} ${formatIp(address)} is not in ${name}`);
  }
  if (range.start.value > range.end.value) {
    throw invalid(what, `rangeStart ${formatIp(range.start)} is after rangeEnd ${formatIp(range.end)}`);
  }
  return range;
}

/** Throws `invalid-argument` where a set mixes families, or two ranges share addresses. */
export function requireDisjoint(sets: readonly RangeSet[], what: string): void {
  for (const set of sets) {
    if (new Set(set.map((range) => range.subnet.address.family)).size !== 1) {
      throw invalid(what, "a range set is empty or mixes IPv4 and IPv6");
    }
  }
  const all = sets.flat();
  for (const [index, range] of all.entries()) {
    const other = all.slice(index + 1).find((candidate) => rangesOverlap(range, candidate));
    if (other !== undefined)
      throw invalid(what, `ranges ${formatRange(range)} and ${formatRange(other)} overlap`);
  }
}

/** The range of a set that holds the address. */
export function rangeOf(set: RangeSet, address: IpAddress): Range | undefined {
  return set.find((range) => isInRange(range, address));
}

/**
 * The addresses of a set in the order in which they are tried: from the one after `last` around to `last` itself,
 * without gateways.
 */
export function* candidates(
  set: RangeSet,
  last: IpAddress | undefined,
): Generator<{ address: IpAddress; range: Range }> {
  const first =
    last === undefined
      ? 0
      : Math.max(
          0,
          set.findIndex((range) => isInRange(range, last)),
        );
  const from = last !== undefined && rangeOf(set, last) !== undefined ? last : undefined;
  for (let step = 0; step <= set.length; step += 1) {
    const range = set[(first + step) % set.length];
    if (range === undefined) return;
    const isFirstPart = step === 0;
    const isWrapped = step === set.length;
    let value = isFirstPart && from !== undefined ? from.value + 1n : range.start.value;
    const end = isWrapped ? (from?.value ?? range.start.value - 1n) : range.end.value;
    for (; value <= end; value += 1n) {
      if (value !== range.gateway.value) yield { address: { family: range.start.family, value }, range };
    }
  }
}

/** Writes `10.1.2.1-10.1.2.254`. */
export function formatRange(range: Range): string {
  return `${formatIp(range.start)}-${formatIp(range.end)}`;
}

function isInRange(range: Range, address: IpAddress): boolean {
  return (
    address.family === range.start.family &&
    address.value >= range.start.value &&
    address.value <= range.end.value
  );
}

function rangesOverlap(a: Range, b: Range): boolean {
  if (!overlaps(a.subnet, b.subnet)) return false;
  return isInRange(a, b.start) || isInRange(a, b.end) || isInRange(b, a.start);
}

/** The last address, for IPv4 the one before broadcast. */
function lastUsable(subnet: IpPrefix): IpAddress {
  return plus(lastOf(subnet), subnet.address.family === 4 ? -1n : 0n);
}

function invalid(what: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${problem}`);
}
