import type { IoCounter, Pressure, PressureLine } from "./numbers.ts";

/** Beyond this v1 has no limit: the kernel rounds the largest number to pages. cAdvisor draws the line here too. */
const unlimitedBytes = 1n << 62n;

/** A file of one number; undefined where it is something else or was not there. */
export function numberIn(text: string | undefined): bigint | undefined {
  const digits = text?.trimEnd();
  return digits !== undefined && /^\d+$/.test(digits) ? BigInt(digits) : undefined;
}

/** A limit: undefined where there is none, which is `max` on v2, and -1 or a huge number on v1. */
export function limitIn(text: string | undefined): bigint | undefined {
  const limit = numberIn(text);
  return limit === undefined || limit > unlimitedBytes ? undefined : limit;
}

/** The wanted keys among lines of `key number`. */
export function keyed<Key extends string>(
  text: string | undefined,
  keys: readonly Key[],
): Partial<Record<Key, bigint>> {
  const found: Partial<Record<Key, bigint>> = {};
  if (text === undefined) return found;
  for (const key of keys) {
    const start = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1;
    if (start === 0 && !text.startsWith(`${key} `)) continue;
    const end = text.indexOf("\n", start);
    const value = numberIn(text.slice(start + key.length + 1, end === -1 ? undefined : end));
    if (value !== undefined) found[key] = value;
  }
  return found;
}

/**
 * A pressure file: `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.
 *
 * @see https://docs.kernel.org/accounting/psi.html
 */
export function pressureIn(text: string | undefined): Pressure | undefined {
  if (text === undefined) return undefined;
  const found: { some?: PressureLine; full?: PressureLine } = {};
  for (const match of text.matchAll(
    /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm,
  )) {
    const [, kind, avg10, avg60, avg300, total] = match;
    found[kind as "some" | "full"] = {
      avg10: Number(avg10),
      avg60: Number(avg60),
      avg300: Number(avg300),
      totalMicroseconds: BigInt(total ?? 0),
    };
  }
  return found.some === undefined && found.full === undefined ? undefined : found;
}

/** v1's `8:0 Read 4096` lines; the device-less `Total` is left out. */
export function blkioIn(text: string | undefined): IoCounter[] {
  if (text === undefined) return [];
  return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)]
    .filter(([, , , operation]) => operation !== "Total")
    .map(([, major, minor, operation, value]) => ({
      major: Number(major),
      minor: Number(minor),
      operation: operation ?? "",
      value: BigInt(value ?? 0),
    }));
}

/** v2's `8:0 rbytes=0 wbytes=4096 rios=0 wios=1 dbytes=0 dios=0`, one key of every line as one operation. */
export function ioStatIn(
  text: string | undefined,
  operations: Readonly<Record<string, string>>,
): IoCounter[] {
  if (text === undefined) return [];
  return [...text.matchAll(/^(\d+):(\d+) (.+)$/gm)].flatMap(([, major, minor, pairs]) =>
    (pairs ?? "").split(" ").flatMap((pair) => {
      const [key = "", value] = pair.split("=");
      const operation = operations[key];
      const number = numberIn(value);
      return operation === undefined || number === undefined
        ? []
        : [{ major: Number(major), minor: Number(minor), operation, value: number }];
    }),
  );
}
