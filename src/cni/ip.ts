import { RuntimeError } from "../core/errors.ts";

/** An IP address as a number, so that ranges are arithmetic. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** An address with the length of its network's prefix, such as `10.88.0.5/16`; the host bits may be set. */
export interface IpPrefix {
  readonly address: IpAddress;
  readonly length: number;
}

/** Bits of an address: 32 or 128. */
export function addressBits(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** Reads an address; an IPv4 address mapped into IPv6 becomes IPv4, as in Go. Throws `invalid-argument`. */
export function parseIp(text: string): IpAddress {
  const address = text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  if (address === undefined) {
    throw new RuntimeError("invalid-argument", `not an IP address: ${JSON.stringify(text)}`);
  }
  return address;
}

/** Reads `address/length`; throws `invalid-argument`. */
export function parsePrefix(text: string): IpPrefix {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : parseIp(match[1]);
  const length = Number(match?.[2]);
  if (address === undefined || length > addressBits(address.family)) {
    throw new RuntimeError(
      "invalid-argument",
      `not an address with a prefix length: ${JSON.stringify(text)}`,
    );
  }
  return { address, length };
}

/** Writes an address in its canonical form (RFC 5952 for IPv6). */
export function formatIp(address: IpAddress): string {
  if (address.family === 4) {
    return [24n, 16n, 8n, 0n].map((shift) => (address.value >> shift) & 0xffn).join(".");
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    Number((address.value >> BigInt(112 - 16 * index)) & 0xffffn),
  );
  const zeros = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  if (zeros.length < 2) return hex.join(":");
  return `${hex.slice(0, zeros.start).join(":")}::${hex.slice(zeros.start + zeros.length).join(":")}`;
}

/** Writes `address/length`. */
export function formatPrefix(prefix: IpPrefix): string {
  return `${formatIp(prefix.address)}/${prefix.length}`;
}

/** The prefix with its host bits cleared. */
export function networkOf(prefix: IpPrefix): IpPrefix {
  const hostBits = BigInt(addressBits(prefix.address.family) - prefix.length);
  const value = (prefix.address.value >> hostBits) << hostBits;
  return { address: { family: prefix.address.family, value }, length: prefix.length };
}

/** The last address of the prefix's network. */
export function lastOf(prefix: IpPrefix): IpAddress {
  const hostBits = BigInt(addressBits(prefix.address.family) - prefix.length);
  const { family, value } = networkOf(prefix).address;
  return { family, value: value + (1n << hostBits) - 1n };
}

/** True where `address` lies in the prefix's network. */
export function contains(prefix: IpPrefix, address: IpAddress): boolean {
  return sameIp(networkOf({ address, length: prefix.length }).address, networkOf(prefix).address);
}

/** True where the two networks share an address. */
export function overlaps(a: IpPrefix, b: IpPrefix): boolean {
  return a.length <= b.length ? contains(a, b.address) : contains(b, a.address);
}

/** The address `count` further. */
export function plus(address: IpAddress, count: bigint): IpAddress {
  return { family: address.family, value: address.value + count };
}

/** True where both are the same address. */
export function sameIp(a: IpAddress, b: IpAddress): boolean {
  return a.family === b.family && a.value === b.value;
}

/** The 4 or 16 bytes of an address in network order. */
export function ipBytes(address: IpAddress): Buffer {
  const digits = addressBits(address.family) / 4;
  return Buffer.from(address.value.toString(16).padStart(digits, "0"), "hex");
}

/** The address in 4 or 16 bytes in network order. */
export function ipFromBytes(bytes: Buffer): IpAddress {
  return { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toString("hex")}`) };
}

function parseIpv4(text: string): IpAddress | undefined {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  if (bytes.some((byte) => byte > 255)) return undefined;
  return ipFromBytes(Buffer.from(bytes));
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(parseGroups);
  if (head === undefined) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 2 ? tail === undefined || missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<number>(missing).fill(0), ...(tail ?? [])];
  const value = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
  return value >> 32n === 0xffffn ? { family: 4, value: value & 0xffff_ffffn } : { family: 6, value };
}

/** The 16-bit groups of one side of `::`, the last two of which may be written as an IPv4 address. */
function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    const embedded = index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (embedded !== undefined) {
      groups.push(Number(embedded.value >> 16n), Number(embedded.value & 0xffffn));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start += 1) {
    const end = groups.findIndex((group, index) => index >= start && group !== 0);
    const length = (end === -1 ? groups.length : end) - start;
    if (length > best.length) best = { start, length };
  }
  return best;
}
