import type { Digest } from "../core/digest.ts";
import type { Image, Layer } from "../core/image.ts";
import type { Snapshot } from "./catalog.ts";

/** What the store holds, as far as disk usage goes. */
export interface StoreContents {
  readonly images: ReadonlyMap<Digest, Image>;
  readonly layers: ReadonlyMap<Digest, Layer>;
  readonly snapshots: ReadonlyMap<string, Snapshot>;
  /** Sizes of documents and kept layers. */
  readonly blobs: ReadonlyMap<Digest, number>;
}

/** What one image takes of the disk. */
export interface ImageUsage {
  readonly image: Image;
  /** Trees of its layers, documents and kept blobs. */
  readonly totalBytes: number;
  /** What would be free if it were removed, and nothing else. */
  readonly ownBytes: number;
}

/** What one layer takes of the disk. */
export interface LayerUsage {
  readonly layer: Layer;
  /** Its folder; relative to the folder of all layers before the store says where that is. */
  readonly path: string;
  /** Images that have it. */
  readonly images: readonly Digest[];
  /** Containers that have it, whether or not an image still does. */
  readonly containers: readonly string[];
}

/** All of it; images and layers in the store's order. */
export interface StoreUsage {
  readonly images: readonly ImageUsage[];
  readonly layers: readonly LayerUsage[];
  /** Bytes of documents and kept blobs. */
  readonly blobBytes: number;
}

/** Counts by image and by layer; sizes were counted when each was committed. */
export function usageByImage(contents: StoreContents): StoreUsage {
  const { images, layers, snapshots, blobs } = contents;
  const usedBy = (layer: Digest): string[] =>
    [...snapshots].filter(([, snapshot]) => snapshot.layers.includes(layer)).map(([id]) => id);
  return {
    images: [...images.values()].map((image) => ({
      image,
      totalBytes: bytesOf(contents, new Set(referencesOf(image))),
      ownBytes: bytesFreed(contents, [image.id]),
    })),
    layers: [...layers.values()].map((layer) => ({
      layer,
      path: layer.folder,
      images: [...images.values()].filter((image) => image.layers.includes(layer.diffId)).map(({ id }) => id),
      containers: usedBy(layer.diffId),
    })),
    blobBytes: [...blobs.values()].reduce((sum, size) => sum + size, 0),
  };
}

/** What removing some images together would free: what neither other images nor containers refer to. */
export function bytesFreed(
  { images, layers, snapshots, blobs }: StoreContents,
  ids: readonly Digest[],
): number {
  const gone = new Set<Digest>();
  const kept = new Set<Digest>();
  for (const image of images.values()) {
    for (const digest of referencesOf(image)) (ids.includes(image.id) ? gone : kept).add(digest);
  }
  for (const snapshot of snapshots.values()) for (const layer of snapshot.layers) kept.add(layer);
  return bytesOf({ layers, blobs }, new Set([...gone].filter((digest) => !kept.has(digest))));
}

/** An image's manifest and config. */
export function documentsOf(image: Image): readonly Digest[] {
  return [image.manifest, image.config ?? image.id];
}

/** All digests that an image keeps in the store. */
export function referencesOf(image: Image): readonly Digest[] {
  return [...documentsOf(image), ...image.layers, ...(image.blobs ?? [])];
}

function bytesOf(
  { layers, blobs }: Pick<StoreContents, "layers" | "blobs">,
  digests: ReadonlySet<Digest>,
): number {
  let sum = 0;
  for (const digest of digests) sum += (layers.get(digest)?.sizeBytes ?? 0) + (blobs.get(digest) ?? 0);
  return sum;
}
