import { createReadStream } from "node:fs";
import type { Entry, ImageTree } from "./tree.ts";

const block = 512;

/** Writes a tree as a tar, owned by root, in the order of the paths: the same tree gives the same bytes. */
export async function* writeTar(tree: ImageTree): AsyncGenerator<Uint8Array> {
  for (const [path, entry] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    yield* writeEntry(path, entry);
  }
  yield Buffer.alloc(2 * block);
}

async function* writeEntry(path: string, entry: Entry): AsyncGenerator<Uint8Array> {
  const target = entry.kind === "link" ? entry.target : "";
  if (Buffer.byteLength(path) > 99 || Buffer.byteLength(target) > 99) yield* writeExtended(path, target);
  if (entry.kind === "folder") yield header(`${path}/`, "5", 0, entry.mode, 0, "");
  else if (entry.kind === "link") yield header(path, "2", 0, 0o777, 0, target);
  else if (entry.kind === "text") {
    yield header(path, "0", Buffer.byteLength(entry.text), entry.mode, 0, "");
    yield* padded([Buffer.from(entry.text)], Buffer.byteLength(entry.text));
  } else {
    yield header(path, "0", entry.size, entry.mode, entry.mtime, "");
    yield* padded(exactly(entry.source, entry.size), entry.size);
  }
}

/** A file that changes its size meanwhile must not shift what follows it. */
async function* exactly(source: string, size: number): AsyncGenerator<Uint8Array> {
  let left = size;
  if (size === 0) return;
  for await (const chunk of createReadStream(source, { end: size - 1 }) as AsyncIterable<Buffer>) {
    left -= chunk.length;
    yield chunk;
  }
  if (left > 0) throw new Error(`${source} became shorter while it was read`);
}

async function* padded(
  data: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array> {
  yield* data;
  if (size % block !== 0) yield Buffer.alloc(block - (size % block));
}

/** A pax header for names that ustar's fields are too short for. */
async function* writeExtended(path: string, target: string): AsyncGenerator<Uint8Array> {
  const text = Buffer.from(record("path", path) + (target === "" ? "" : record("linkpath", target)));
  yield header("pax", "x", text.length, 0o644, 0, "");
  yield* padded([text], text.length);
}

function record(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(body);
  let length = bytes + String(bytes).length;
  if (String(length).length !== String(bytes).length) length = bytes + String(length).length;
  return `${length}${body}`;
}

function header(
  name: string,
  type: string,
  size: number,
  mode: number,
  mtime: number,
  target: string,
): Buffer {
  const bytes = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number): void => {
    bytes.write(value.toString(8).padStart(length - 1, "0"), at, "latin1");
  };
  Buffer.from(name).copy(bytes, 0, 0, 99);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(mtime, 136, 12);
  bytes.write(type, 156, "latin1");
  Buffer.from(target).copy(bytes, 157, 0, 99);
  bytes.write("ustar\u000000", 257, "latin1");
  bytes.fill(" ", 148, 156);
  let sum = 0;
  for (const byte of bytes) sum += byte;
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}
