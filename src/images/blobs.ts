import { createReadStream } from "node:fs";
import { link, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { parseDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Catalog } from "./catalog.ts";
import { maxDocumentBytes, parseDocument, type Descriptor } from "./documents.ts";
import { blobPath, readSmallFile, syncFolder, temporaryPath, type Layout } from "./layout.ts";

/**
 * Which compressed layers stay on disk beside their trees: those that no registry can send again (imported, committed,
 * made of the host's files), or every one.
 */
export type BlobPolicy = "local" | "all";

/** The setting that keeps compressed layers; errors about one that is missing name it. */
export const keepBlobsSetting = "images.keep_blobs";

/** A layer's blob as its manifest names it, byte for byte; whoever reads it checks the digest. */
export interface KeptBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Its bytes from an offset on; may be called again, for a transfer that broke. */
  read(offset: number): AsyncIterable<Uint8Array>;
}

/** Compressed layers that were kept beside the unpacked ones. */
export interface KeptBlobs {
  /** Undefined where it was not kept. */
  find(digest: Digest): Promise<KeptBlob | undefined>;
}

/** Content of a registry or an archive, by its digest. */
export interface BlobId {
  readonly digest: Digest;
  readonly size: number;
}

/** An image's documents, byte for byte as they came. */
export interface ImageDocuments {
  readonly manifestBytes: Buffer;
  readonly configBytes: Buffer;
  /** With the media type that the manifest claims for itself. */
  readonly manifest: BlobId & { readonly mediaType: string };
  readonly config: Descriptor;
  /** Compressed, as the manifest lists them: lowest first. */
  readonly layers: readonly Descriptor[];
}

/** Reads an image's manifest and config. Throws `internal` where one is damaged: `berth fsck --repair` mends it. */
export async function readDocuments(layout: Layout, image: Image): Promise<ImageDocuments> {
  const read = (digest: Digest, what: string): Promise<Buffer> =>
    readSmallFile(blobPath(layout, digest), maxDocumentBytes, `${what} ${digest} of image ${image.id}`);
  const manifestBytes = await read(image.manifest, "manifest");
  const what = `manifest ${image.manifest} of image ${image.id}`;
  const document = parseDocument(manifestBytes.toString("utf8"), what);
  if (document.kind === "index") throw new RuntimeError("internal", `${what} is an index`);
  const { mediaType = "application/vnd.oci.image.manifest.v1+json" } = JSON.parse(
    manifestBytes.toString("utf8"),
  ) as { mediaType?: string };
  return {
    manifestBytes,
    configBytes: await read(document.config.digest, "config"),
    manifest: { mediaType, digest: image.manifest, size: manifestBytes.length },
    config: document.config,
    layers: document.layers,
  };
}

/** Brings the bytes of an image's layer from where the image came from; they are verified at their end. */
export type FetchAgain = (image: Image, layer: Descriptor, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** The compressed layers of images: kept files, or fetched again by digest. */
export interface Blobs extends KeptBlobs {
  /**
   * A layer's bytes: those of kept ones as they are, those of fetched ones verified at their end. Throws
   * `failed-precondition` where they are neither here nor known to be in a registry.
   */
  read(image: Image, layer: Descriptor, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export function openBlobs(layout: Layout, catalog: Catalog, fetchAgain: FetchAgain): Blobs {
  const find = (digest: Digest): KeptBlob | undefined => {
    const sizeBytes = catalog.blobs.get(digest);
    if (sizeBytes === undefined) return undefined;
    const path = blobPath(layout, digest);
    return {
      digest,
      sizeBytes,
      read: (offset) => createReadStream(path, { start: offset, highWaterMark: readBytes }),
    };
  };
  return {
    find: (digest) => Promise.resolve(find(digest)),
    read: (image, layer, signal) => find(layer.digest)?.read(0) ?? fetchAgain(image, layer, signal),
  };
}

const readBytes = 256 * 1024;

/** Writes a blob to tmp while its bytes pass on to the unpacker: one pass over the network serves both. */
export interface BlobKeeper extends AsyncDisposable {
  /** Passes the bytes on; a second call begins anew. */
  tee(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Puts the verified bytes in place; durable when it resolves. */
  commit(): Promise<void>;
}

/** Begins to keep a blob; what is not committed goes with the disposal. */
export function keepBlob(layout: Layout, { digest }: BlobId): BlobKeeper {
  const temporary = temporaryPath(layout, "blob");
  let file: FileHandle | undefined;
  return {
    tee: async function* (source) {
      file ??= await open(temporary, "wx", 0o600);
      await file.truncate(0);
      let at = 0;
      for await (const chunk of source) {
        const written = writeAll(file, chunk, at);
        // Awaited below; a consumer that stops meanwhile must not leave it unhandled.
        written.catch(() => undefined);
        at += chunk.length;
        yield chunk;
        await written;
      }
    },
    commit: async () => {
      if (file === undefined) throw new RuntimeError("internal", `blob ${digest} was not read`);
      await file.sync();
      await rename(temporary, blobPath(layout, digest));
      await syncFolder(layout.blobs);
    },
    [Symbol.asyncDispose]: async () => {
      await file?.close();
      await rm(temporary, { force: true });
    },
  };
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}

/** Keeps a file of tmp, whose digest was computed as it was written, as a blob: a second name and no copy. */
export async function adoptBlob(layout: Layout, path: string, digest: Digest): Promise<void> {
  const place = blobPath(layout, digest);
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await link(path, place).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  });
  await syncFolder(dirname(place));
}

/** Size of each blob whose file is there, by digest. */
export async function listBlobSizes(layout: Layout, names: readonly string[]): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>();
  for (const name of names) {
    const digest = parseDigest(`sha256:${name}`);
    sizes.set(digest, (await stat(blobPath(layout, digest))).size);
  }
  return sizes;
}
