import { mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../../core/digest.ts";
import { RuntimeError } from "../../core/errors.ts";
import { writeHashed, type HashedFile } from "../hashed-file.ts";
import { contained, readTar } from "./tar-reader.ts";

/** A file of the archive, kept on disk under a name of ours. */
export type SpooledFile = HashedFile;

/** The files of an archive by name and by what their content hashes to. */
export interface Spool {
  file(name: string): SpooledFile | undefined;
  blob(digest: Digest): SpooledFile | undefined;
}

const maxLinks = 16;

/** Writes the archive's files into `folder`, hashing them: order in the archive is free, and memory bounded. */
export async function spoolArchive(stream: AsyncIterable<Uint8Array>, folder: string): Promise<Spool> {
  const files = new Map<string, SpooledFile>();
  const links = new Map<string, string>();
  const blobs = new Map<Digest, SpooledFile>();
  await mkdir(folder, { mode: 0o700 });
  for await (const entry of readTar(stream)) {
    if (entry.kind === "link") links.set(entry.name, resolveLink(entry.name, entry.target));
    if (entry.kind !== "file") continue;
    const file = await writeHashed(entry.data, join(folder, String(files.size)));
    files.set(entry.name, file);
    blobs.set(file.digest, file);
  }
  const find = (name: string): SpooledFile | undefined => {
    let current = name;
    for (let followed = 0; followed <= maxLinks; followed++) {
      const target = links.get(current);
      if (target === undefined) return files.get(current);
      current = target;
    }
    throw new RuntimeError("invalid-argument", `the image archive links ${name} to itself`);
  };
  return { file: find, blob: (digest) => blobs.get(digest) };
}

/** Old `docker save` links a repeated layer to the first, as `../<id>/layer.tar`. */
function resolveLink(name: string, target: string): string {
  const parts = name.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === ".." && parts.length > 0) parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return contained(parts.join("/"));
}

/** Reads a document of the archive, which must be small. */
export async function readDocument(file: SpooledFile, maxBytes: number, what: string): Promise<Buffer> {
  if (file.size > maxBytes)
    throw new RuntimeError("invalid-argument", `${what} is larger than ${maxBytes} bytes`);
  return await readFile(file.path);
}

/** True where a file begins as gzip does (RFC 1952 2.3.1). */
export async function isGzip(file: Pick<SpooledFile, "path">): Promise<boolean> {
  return await beginsWith(file.path, [0x1f, 0x8b]);
}

/** True where a file begins with a frame of zstd (RFC 8878 3.1.1). */
export async function isZstd(file: Pick<SpooledFile, "path">): Promise<boolean> {
  return await beginsWith(file.path, [0x28, 0xb5, 0x2f, 0xfd]);
}

async function beginsWith(path: string, bytes: readonly number[]): Promise<boolean> {
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes.length), 0, bytes.length, 0);
    return bytesRead === bytes.length && buffer.equals(Buffer.from(bytes));
  } finally {
    await handle.close();
  }
}
