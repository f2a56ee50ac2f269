import * as ffi from "ffi";
import type { Bytes } from "ffi";
import { advance, fail } from "./libc.ts";

/** The fields of one 512-byte tar header (POSIX ustar, GNU tar's tar.h), before extended headers apply. */
export interface Header {
  readonly type: string;
  name: string;
  linkName: string;
  size: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  mtimeNsec: number;
  readonly major: number;
  readonly minor: number;
  /** Of GNU's old sparse files (type `S`): four maps lie in the header. */
  readonly sparse?: OldSparse;
}

/** Where data lies in a sparse file, in pairs of offset and length. */
export interface OldSparse {
  readonly map: number[];
  readonly realSize: number;
  readonly extended: boolean;
}

/** Reads a header; undefined for the zero block that ends an archive. */
export function parseHeader(block: Bytes): Header | undefined {
  if (block[0] === 0 && isZero(block)) return undefined;
  verifyChecksum(block);
  const type = block[156] === 0 ? "0" : string.char(block[156] ?? 0);
  const magic = ffi.string(advance(block, 257), 6);
  const posix = magic === "ustar\0";
  const prefix = posix ? field(block, 345, 155) : "";
  const name = field(block, 0, 100);
  return {
    type,
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkName: field(block, 157, 100),
    size: parseNumber(block, 124, 12, "size"),
    mode: parseNumber(block, 100, 8, "mode"),
    uid: parseNumber(block, 108, 8, "uid"),
    gid: parseNumber(block, 116, 8, "gid"),
    mtime: parseNumber(block, 136, 12, "mtime"),
    mtimeNsec: 0,
    major: posix || magic === "ustar " ? parseNumber(block, 329, 8, "device major") : 0,
    minor: posix || magic === "ustar " ? parseNumber(block, 337, 8, "device minor") : 0,
    ...(type === "S" ? { sparse: parseSparse(block) } : {}),
  };
}

/** Reads pairs of a GNU sparse map at `at`, up to `pairs` of them or the first empty one. */
export function parseSparsePairs(block: Bytes, at: number, pairs: number, map: number[]): void {
  for (let index = 0; index < pairs; index++) {
    const place = at + index * 24;
    if (block[place] === 0) return;
    map.push(
      parseNumber(block, place, 12, "sparse offset"),
      parseNumber(block, place + 12, 12, "sparse length"),
    );
  }
}

function parseSparse(block: Bytes): OldSparse {
  const map: number[] = [];
  parseSparsePairs(block, 386, 4, map);
  return { map, realSize: parseNumber(block, 483, 12, "real size"), extended: block[482] !== 0 };
}

function isZero(block: Bytes): boolean {
  for (let index = 0; index < 512; index++) if (block[index] !== 0) return false;
  return true;
}

/** The sum of all bytes with the checksum field as spaces; old tars summed signed bytes. */
function verifyChecksum(block: Bytes): void {
  let unsigned = 8 * 32;
  let signed = 8 * 32;
  for (let index = 0; index < 512; index++) {
    if (index < 148 || index > 155) {
      const byte = block[index] ?? 0;
      unsigned += byte;
      signed += byte < 128 ? byte : byte - 256;
    }
  }
  const stored = parseNumber(block, 148, 8, "checksum");
  if (stored !== unsigned && stored !== signed)
    fail("format", "this is not a tar archive, or a header is damaged");
}

function field(block: Bytes, at: number, length: number): string {
  let end = at;
  while (end < at + length && block[end] !== 0) end++;
  return ffi.string(advance(block, at), end - at);
}

/** Octal text, or GNU's base-256 where the first bit is set. */
function parseNumber(block: Bytes, at: number, length: number, what: string): number {
  const first = block[at] ?? 0;
  if (first >= 128) return parseBinary(block, at, length, what);
  let value = 0;
  let started = false;
  for (let index = at; index < at + length; index++) {
    const byte = block[index] ?? 0;
    if (byte >= 48 && byte <= 55) {
      value = value * 8 + (byte - 48);
      started = true;
    } else if (byte === 0 || (byte === 32 && started)) {
      break;
    } else if (byte !== 32) {
      fail("format", `this is not a tar archive, or a header is damaged: its ${what} is not a number`);
    }
  }
  return value;
}

function parseBinary(block: Bytes, at: number, length: number, what: string): number {
  const first = block[at] ?? 0;
  const negative = first === 0xff;
  let value = negative ? -1 : first & 0x7f;
  for (let index = at + 1; index < at + length; index++) value = value * 256 + (block[index] ?? 0);
  if (value > 9007199254740991 || (negative && value < -9007199254740991)) {
    fail("format", `a header's ${what} is out of range`);
  }
  return value;
}
