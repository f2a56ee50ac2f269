import type { Header } from "./header.ts";
import { fail } from "./libc.ts";
import { capture, indexOf } from "./patterns.ts";

/** Bytes of one pax header or GNU long name. */
export const maxExtendedBytes = 1024 * 1024;

/** What pax records (POSIX pax, "pax Extended Header") say of the next entry, or of all that follow. */
export interface Pax {
  readonly values: Record<string, string>;
  /** Extended attributes by name, from `SCHILY.xattr.*`. */
  readonly xattrs: Record<string, string>;
  /** GNU sparse format 0.0: pairs of offset and length, one record each. */
  readonly sparsePairs: number[];
}

export function emptyPax(): Pax {
  return { values: {}, xattrs: {}, sparsePairs: [] };
}

const xattrPrefix = "SCHILY.xattr.";

/** Reads `length key=value\n` records into `pax`; a later record wins. */
export function parsePax(text: string, pax: Pax): void {
  let at = 1;
  const end = text.length;
  while (at <= end) {
    const size = capture(text, "^(%d+) ", at);
    const length = tonumber(size?.text) ?? 0;
    const last = at + length - 1;
    if (size === undefined || last > end || length < 5 || string.sub(text, last, last) !== "\n") {
      fail("format", "a pax header holds a malformed record");
    }
    const space = size.last;
    const equals = indexOf(text, "=", space);
    if (equals === undefined || equals >= last) fail("format", "a pax header holds a record without a value");
    store(pax, string.sub(text, space + 1, equals - 1), string.sub(text, equals + 1, last - 1));
    at = last + 1;
  }
}

function store(pax: Pax, key: string, value: string): void {
  if (string.sub(key, 1, xattrPrefix.length) === xattrPrefix) {
    pax.xattrs[string.sub(key, xattrPrefix.length + 1)] = value;
  } else if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
    pax.sparsePairs.push(parseWhole(value, key));
  } else {
    pax.values[key] = value;
  }
}

/** Overrides a header's fields with what the pax records say. */
export function applyPax(header: Header, pax: Pax): void {
  const { path, linkpath, size, uid, gid, mtime } = pax.values;
  if (path !== undefined) header.name = path;
  if (linkpath !== undefined) header.linkName = linkpath;
  if (size !== undefined) header.size = parseWhole(size, "size");
  if (uid !== undefined) header.uid = parseWhole(uid, "uid");
  if (gid !== undefined) header.gid = parseWhole(gid, "gid");
  if (mtime !== undefined) applyTime(header, mtime);
}

/** A whole number from 0 to 2^53-1. */
export function parseWhole(text: string, what: string): number {
  const [digits] = string.match(text, "^%d+$");
  const value = digits === undefined ? undefined : tonumber(digits);
  if (value === undefined || value > 9007199254740991) {
    return fail("format", `a pax header's ${what} is not a whole number`);
  }
  return value;
}

/** Seconds with a decimal fraction, kept to the nanosecond: a double would lose the last digits. */
function applyTime(header: Header, text: string): void {
  const [sign, whole, fraction] = string.match(text, "^(-?)(%d+)%.?(%d*)$");
  const seconds = whole === undefined ? undefined : tonumber(whole);
  if (seconds === undefined || seconds > 9007199254740991)
    return fail("format", "a pax header's mtime is not a time");
  const nanoseconds = tonumber(string.sub(`${fraction as string}000000000`, 1, 9)) ?? 0;
  if (sign !== "-") {
    header.mtime = seconds;
    header.mtimeNsec = nanoseconds;
  } else {
    header.mtime = nanoseconds === 0 ? -seconds : -seconds - 1;
    header.mtimeNsec = nanoseconds === 0 ? 0 : 1000000000 - nanoseconds;
  }
}
