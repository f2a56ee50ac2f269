import type { Digest } from "../core/digest.ts";

/** The setting that keeps compressed layers; errors about one that is missing name it. */
export const keepBlobsSetting = "images.keep_blobs";

/** A layer's blob as its manifest names it, byte for byte. */
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

/** The store of a node that keeps none. */
export const noKeptBlobs: KeptBlobs = { find: () => Promise.resolve(undefined) };
