import { createReadStream } from "node:fs";
import { extendedHeader, padding, tarEnd, tarHeader } from "../archive/tar-blocks.ts";
import type { Entry, ImageTree } from "./tree.ts";

/** Writes a tree as a tar, owned by root, in the order of the paths: the same tree gives the same bytes. */
export async function* writeTar(tree: ImageTree): AsyncGenerator<Uint8Array> {
  for (const [path, entry] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1))) {
    yield* writeEntry(path, entry);
  }
  yield tarEnd();
}

async function* writeEntry(path: string, entry: Entry): AsyncGenerator<Uint8Array> {
  const target = entry.kind === "link" ? entry.target : "";
  yield extendedHeader(path, target);
  if (entry.kind === "folder") {
    yield tarHeader({ name: `${path}/`, type: "5", size: 0, mode: entry.mode });
  } else if (entry.kind === "link") {
    yield tarHeader({ name: path, type: "2", size: 0, mode: 0o777, target });
  } else if (entry.kind === "text") {
    const text = Buffer.from(entry.text);
    yield tarHeader({ name: path, type: "0", size: text.length, mode: entry.mode });
    yield text;
    yield padding(text.length);
  } else {
    yield tarHeader({ name: path, type: "0", size: entry.size, mode: entry.mode, mtime: entry.mtime });
    yield* exactly(entry.source, entry.size);
    yield padding(entry.size);
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
