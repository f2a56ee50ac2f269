import { RuntimeError } from "../../../core/errors.ts";
import type { Headers } from "./frames.ts";

/** Headers of one stream; clients send three. */
const maxHeaders = 100;

/** Reads an inflated header block: a count, then names and values, each with its length in front (section 2.6.10). */
export function parseHeaderBlock(block: Buffer): Headers {
  const reader = new BlockReader(block);
  const count = reader.number();
  if (count > maxHeaders) throw malformed(`${count} headers are over the limit of ${maxHeaders}`);
  const headers = new Map<string, string>();
  for (let index = 0; index < count; index++) {
    const name = reader.text().toLowerCase();
    const value = reader.text();
    if (name === "") throw malformed("a header without a name");
    if (headers.has(name)) throw malformed(`header ${JSON.stringify(name.slice(0, 64))} twice`);
    headers.set(name, value);
  }
  return headers;
}

/** Writes a header block, not yet compressed. */
export function formatHeaderBlock(headers: Headers): Buffer {
  const parts: Buffer[] = [number(headers.size)];
  for (const [name, value] of headers) {
    for (const text of [name, value]) parts.push(number(Buffer.byteLength(text)), Buffer.from(text));
  }
  return Buffer.concat(parts);
}

class BlockReader {
  readonly #block: Buffer;
  #offset = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  number(): number {
    if (this.#offset + 4 > this.#block.length) throw malformed("a header block that is cut off");
    const value = this.#block.readUInt32BE(this.#offset);
    this.#offset += 4;
    return value;
  }

  text(): string {
    const length = this.number();
    const end = this.#offset + length;
    if (end > this.#block.length) throw malformed("a header block that is cut off");
    const value = this.#block.toString("utf8", this.#offset, end);
    this.#offset = end;
    return value;
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function malformed(what: string): RuntimeError {
  return new RuntimeError("invalid-argument", `not spdy/3.1: ${what}`);
}
