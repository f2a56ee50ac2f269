import { RuntimeError } from "../../core/errors.ts";

/** An entry of an archive, whose data must be read before the next is asked for. */
export interface TarEntry {
  readonly name: string;
  readonly kind: "file" | "link" | "other";
  /** Where a symbolic or hard link points. */
  readonly target: string;
  readonly size: number;
  /** The data; what is not read is passed over. */
  readonly data: AsyncIterable<Uint8Array>;
}

const block = 512;
const maxExtendedBytes = 1024 * 1024;
/** Entries of an archive of images: a few for each layer. */
const maxEntries = 100_000;

/** A stream that hands out exact pieces. */
interface Pieces {
  /** Exactly `count` bytes; undefined where the stream ended before the first of them. */
  exactly(count: number): Promise<Buffer | undefined>;
  /** Up to `count` bytes, at least one. */
  some(count: number): Promise<Uint8Array>;
}

/** Reads the entries of a tar of images one by one, with no more in memory than a piece of the stream. */
export async function* readTar(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const pieces = cut(stream);
  let extended: Record<string, string> = {};
  for (let entries = 0; ; entries++) {
    if (entries > maxEntries) throw malformed(`it has more than ${maxEntries} entries`);
    const header = await pieces.exactly(block);
    if (header === undefined || header.every((byte) => byte === 0)) return;
    verifyChecksum(header);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = number(header, 124, 12, extended["size"]);
    if (type === "x" || type === "L" || type === "K") {
      extended = { ...extended, ...(await readExtended(pieces, type, size)) };
      continue;
    }
    const left = { bytes: size };
    const name = extended["path"] ?? nameOf(header);
    yield {
      name: contained(name),
      kind:
        type === "0" || type === "\0" || type === "7"
          ? "file"
          : type === "1" || type === "2"
            ? "link"
            : "other",
      target: extended["linkpath"] ?? field(header, 157, 100),
      size,
      data: take(pieces, left),
    };
    extended = {};
    while (left.bytes > 0) left.bytes -= (await pieces.some(left.bytes)).length;
    if (size % block !== 0) await pieces.exactly(block - (size % block));
  }
}

/** Names are keys and never paths, and still must not say that they lie elsewhere (CVE-2014-9356). */
export function contained(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..") || name.startsWith("/")) {
    throw malformed(`entry ${JSON.stringify(name.slice(0, 200))} is outside of it`);
  }
  return parts.join("/");
}

async function* take(pieces: Pieces, left: { bytes: number }): AsyncGenerator<Uint8Array> {
  while (left.bytes > 0) {
    const piece = await pieces.some(left.bytes);
    left.bytes -= piece.length;
    yield piece;
  }
}

function cut(stream: AsyncIterable<Uint8Array>): Pieces {
  const iterator = stream[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array();
  const some = async (count: number): Promise<Uint8Array> => {
    while (held.length === 0) {
      const next = await iterator.next();
      if (next.done === true) throw malformed("it is truncated");
      held = next.value;
    }
    const piece = held.subarray(0, count);
    held = held.subarray(piece.length);
    return piece;
  };
  return {
    some,
    exactly: async (count) => {
      while (held.length === 0) {
        const next = await iterator.next();
        if (next.done === true) return undefined;
        held = next.value;
      }
      const found = Buffer.alloc(count);
      for (let filled = 0; filled < count;) {
        const piece = await some(count - filled);
        found.set(piece, filled);
        filled += piece.length;
      }
      return found;
    },
  };
}

async function readExtended(pieces: Pieces, type: string, size: number): Promise<Record<string, string>> {
  if (size > maxExtendedBytes) throw malformed(`an extended header is larger than ${maxExtendedBytes} bytes`);
  const padded = Math.ceil(size / block) * block;
  const text = (await pieces.exactly(padded))?.subarray(0, size).toString("utf8") ?? "";
  const untilZero = text.split("\0")[0] ?? "";
  if (type === "L") return { path: untilZero };
  if (type === "K") return { linkpath: untilZero };
  const values: Record<string, string> = {};
  // Records of paths, links and sizes hold no newline in archives of images.
  for (const line of text.split("\n")) {
    const match = /^\d+ (path|linkpath|size)=(.*)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) values[match[1]] = match[2];
  }
  return values;
}

function nameOf(header: Buffer): string {
  const isUstar = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? field(header, 345, 155) : "";
  return prefix === "" ? field(header, 0, 100) : `${prefix}/${field(header, 0, 100)}`;
}

function field(header: Buffer, at: number, length: number): string {
  return header.toString("utf8", at, at + length).split("\0")[0] ?? "";
}

function number(header: Buffer, at: number, length: number, override?: string): number {
  const first = header[at] ?? 0;
  let value: number;
  if (override !== undefined) value = Number(override);
  else if (first >= 0x80) value = Number(header.readBigUInt64BE(at + length - 8));
  else value = Number.parseInt(field(header, at, length).trim() || "0", 8);
  if (!Number.isSafeInteger(value) || value < 0) throw malformed("a header holds no valid size");
  return value;
}

function verifyChecksum(header: Buffer): void {
  let sum = 8 * 32;
  for (const [index, byte] of header.entries()) if (index < 148 || index > 155) sum += byte;
  if (sum !== number(header, 148, 8)) throw malformed("a header is damaged, or it is no tar");
}

function malformed(why: string): RuntimeError {
  return new RuntimeError("invalid-argument", `the image archive cannot be read: ${why}`);
}
