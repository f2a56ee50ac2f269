import { createHash } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { parseDigest, type Digest } from "../core/digest.ts";

/** A file that was written, by what it hashes to. */
export interface HashedFile {
  readonly path: string;
  readonly size: number;
  readonly digest: Digest;
}

/**
 * Writes a new file and hashes it on the way. However it ends the file is closed: a descriptor that is left would keep
 * the disk of a file that is removed.
 */
export async function writeHashed(
  stream: AsyncIterable<Uint8Array>,
  path: string,
  signal?: AbortSignal,
): Promise<HashedFile> {
  const hash = createHash("sha256");
  const output = createWriteStream(path, { flags: "wx", mode: 0o600 });
  const closed = new Promise((resolve) => output.once("close", resolve));
  try {
    await once(output, "open");
    await pipeline(stream, (chunks: AsyncIterable<Uint8Array>) => hashing(chunks, hash), output, {
      ...(signal && { signal }),
    });
  } finally {
    output.destroy();
    await closed;
  }
  return { path, size: output.bytesWritten, digest: parseDigest(`sha256:${hash.digest("hex")}`) };
}

/** Passes bytes on and hashes them. */
export async function* hashing(
  chunks: AsyncIterable<Uint8Array>,
  hash: { update(data: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}
