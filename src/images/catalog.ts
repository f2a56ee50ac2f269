import { rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image, Layer } from "../core/image.ts";
import { jsonCodec, type Store, type Table } from "../store/index.ts";
import { onDisk } from "./disk-errors.ts";
import {
  blobPath,
  discard,
  imageSidecar,
  retiredMark,
  syncFolder,
  writeDurably,
  type Layout,
} from "./layout.ts";
import { createMutex } from "./limiter.ts";
import type { CopyReport } from "./pack.ts";
import { referencesOf } from "./usage.ts";

/** What one container keeps of the store. */
export interface Snapshot {
  readonly layers: readonly Digest[];
  /** Those of its own image, lowest first: the others are of image volumes. Absent in records of older stores. */
  readonly root?: readonly Digest[];
  /** What of its root was copied from the image; absent where the root is an overlay. */
  readonly copied?: CopyReport;
}

/** The tables of the store that images own. */
export interface ImageTables {
  readonly images: Table<Image>;
  readonly layers: Table<Layer>;
  readonly snapshots: Table<Snapshot>;
}

export function imageTables(store: Store): ImageTables {
  return {
    images: store.table<Image>("images", jsonCodec()),
    layers: store.table<Layer>("layers", jsonCodec()),
    snapshots: store.table<Snapshot>("snapshots", jsonCodec()),
  };
}

/** Keeps layers and blobs from being collected while a pull that needs them is under way. */
export interface Lease {
  add(digests: readonly Digest[]): void;
  release(): void;
}

/**
 * What the store holds, in memory and on disk, and who refers to what. A layer or blob is kept by images, by containers
 * and by leases; collect removes the rest.
 */
export interface Catalog {
  readonly images: ReadonlyMap<Digest, Image>;
  readonly layers: ReadonlyMap<Digest, Layer>;
  readonly snapshots: ReadonlyMap<string, Snapshot>;
  /** See CatalogState. */
  readonly retired: ReadonlyMap<string, readonly string[]>;
  lease(): Lease;
  /** Makes a layer whose folder is in place known; its record is written with the image that needs it. */
  addLayer(layer: Layer): void;
  /**
   * Puts a fresh folder in a layer's place. The old one stays for the containers that were made of it, until they are
   * gone; without any it goes at once.
   */
  replaceLayer(layer: Layer): Promise<void>;
  /** Makes a blob whose file is in place known. */
  addBlob(digest: Digest, sizeBytes: number): void;
  hasBlob(digest: Digest): boolean;
  /** Size of every blob that is here: documents and kept layers. */
  readonly blobs: ReadonlyMap<Digest, number>;
  /** Commits an image whose layers and blobs are in place; its tags leave other images. */
  putImage(image: Image): Promise<Image>;
  /** Gives an image that is here a further tag, which leaves others; `not-found` where it has gone. */
  tagImage(id: Digest, tag: string): Promise<Image>;
  /** Removes an image's record; absent is no error. */
  deleteImage(id: Digest): Promise<void>;
  /** Records what a container needs, before its folders are made. */
  putSnapshot(containerId: string, snapshot: Snapshot): Promise<void>;
  deleteSnapshot(containerId: string): Promise<void>;
  /** True where all of the digests are still referred to. */
  needs(digests: readonly Digest[]): boolean;
  /** Removes layers and blobs that nothing refers to. */
  collect(): Promise<void>;
}

/** The state that opening the store found. */
export interface CatalogState {
  readonly images: Map<Digest, Image>;
  readonly layers: Map<Digest, Layer>;
  readonly snapshots: Map<string, Snapshot>;
  /** Sizes in bytes. */
  readonly blobs: Map<Digest, number>;
  /** Folders of layers that were replaced, and the containers that are still made of them. */
  readonly retired: Map<string, readonly string[]>;
}

export function openCatalog(layout: Layout, store: Store, tables: ImageTables, state: CatalogState): Catalog {
  const { images, layers, snapshots, blobs, retired } = state;
  const leases = new Map<Digest, number>();
  const exclusive = createMutex();
  const recorded = new Set(layers.keys());

  const referenced = (): Set<Digest> => {
    const found = new Set(leases.keys());
    for (const image of images.values()) {
      for (const digest of referencesOf(image)) found.add(digest);
    }
    for (const snapshot of snapshots.values()) for (const digest of snapshot.layers) found.add(digest);
    return found;
  };

  const collect = async (): Promise<void> => {
    const kept = referenced();
    const goneLayers = [...layers.values()].filter((layer) => !kept.has(layer.diffId));
    const goneBlobs = [...blobs.keys()].filter((digest) => !kept.has(digest));
    // Forgotten before the first wait, so that nobody begins to use what is about to go.
    for (const layer of goneLayers) layers.delete(layer.diffId);
    for (const digest of goneBlobs) blobs.delete(digest);
    const deletes = goneLayers.filter((layer) => recorded.delete(layer.diffId));
    if (deletes.length > 0)
      await store.write(
        deletes.map((layer) => tables.layers.delete(layer.diffId)),
        "memory",
      );
    for (const digest of goneBlobs) await rm(blobPath(layout, digest), { force: true });
    for (const layer of goneLayers) await discard(layout, join(layout.layers, layer.folder));
    for (const [folder, users] of retired) {
      if (users.some((id) => snapshots.has(id))) continue;
      retired.delete(folder);
      await discard(layout, join(layout.layers, folder));
    }
  };

  const replaceLayer = async (layer: Layer): Promise<void> => {
    const old = layers.get(layer.diffId);
    const users = [...snapshots]
      .filter(([, snapshot]) => snapshot.layers.includes(layer.diffId))
      .map(([id]) => id);
    // Marked before the record changes: a start takes an unmarked folder without a record for a leftover.
    if (old !== undefined && users.length > 0) {
      await writeDurably(layout, retiredMark(layout, old.folder), JSON.stringify(users)).catch(ignoreMissing);
    }
    await store.write([tables.layers.put(layer.diffId, layer)], "disk");
    recorded.add(layer.diffId);
    layers.set(layer.diffId, layer);
    if (old !== undefined) retired.set(old.folder, users);
    await collect();
  };

  const putImage = async (image: Image): Promise<Image> => {
    const changed = withMovedTags(images, image);
    if (changed.length === 0) return images.get(image.id) ?? image;
    const fresh = image.layers.filter((diffId) => !recorded.has(diffId)).map((diffId) => layers.get(diffId));
    const layerRecords = fresh.filter((layer) => layer !== undefined);
    for (const record of changed) {
      await writeDurably(layout, imageSidecar(layout, record.id), JSON.stringify(record));
    }
    await store.write(
      [
        ...layerRecords.map((layer) => tables.layers.put(layer.diffId, layer)),
        ...changed.map((record) => tables.images.put(record.id, record)),
      ],
      "disk",
    );
    for (const layer of layerRecords) recorded.add(layer.diffId);
    for (const record of changed) images.set(record.id, record);
    return images.get(image.id) ?? image;
  };

  /** Puts the sidecars back to what the records say, after a commit that failed half way. */
  const restoreSidecars = async (image: Image): Promise<void> => {
    for (const id of new Set([image.id, ...images.keys()])) {
      const record = images.get(id);
      if (record === undefined) await rm(imageSidecar(layout, id), { force: true });
      else if (record.tags.some((tag) => image.tags.includes(tag))) {
        await writeDurably(layout, imageSidecar(layout, id), JSON.stringify(record)).catch(() => undefined);
      }
    }
  };

  const put = async (image: Image): Promise<Image> => {
    try {
      return await onDisk(layout.root, `image ${image.id}`, () => putImage(image));
    } catch (thrown) {
      await restoreSidecars(image);
      throw thrown;
    }
  };

  const deleteImage = async (id: Digest): Promise<void> => {
    if (!images.has(id)) return;
    // The sidecar first: one without a record is a commit that a crash interrupted, and would be completed at start.
    await unlink(imageSidecar(layout, id)).catch(ignoreMissing);
    await syncFolder(layout.images);
    await store.write([tables.images.delete(id)], "disk");
    images.delete(id);
    await collect();
  };

  return {
    images,
    layers,
    snapshots,
    retired,
    lease: () => createLease(leases),
    addLayer: (layer) => void layers.set(layer.diffId, layer),
    replaceLayer: (layer) => exclusive(() => replaceLayer(layer)),
    addBlob: (digest, sizeBytes) => void blobs.set(digest, sizeBytes),
    hasBlob: (digest) => blobs.has(digest),
    blobs,
    putImage: (image) => exclusive(() => put(image)),
    tagImage: (id, tag) =>
      exclusive(() => {
        const image = images.get(id);
        if (image === undefined) throw new RuntimeError("not-found", `no image ${id}`);
        return put({ ...image, tags: [tag] });
      }),
    deleteImage: (id) => exclusive(() => deleteImage(id)),
    putSnapshot: async (containerId, snapshot) => {
      snapshots.set(containerId, snapshot);
      await store.write([tables.snapshots.put(containerId, snapshot)], "memory");
    },
    deleteSnapshot: async (containerId) => {
      if (!snapshots.delete(containerId)) return;
      await store.write([tables.snapshots.delete(containerId)], "memory");
    },
    needs: (digests) => {
      const kept = referenced();
      return digests.every((digest) => kept.has(digest));
    },
    collect: () => exclusive(collect),
  };
}

/** The records that change when `image` is put: itself merged with what is known of it, and those that lose a tag. */
function withMovedTags(images: ReadonlyMap<Digest, Image>, image: Image): Image[] {
  const before = images.get(image.id);
  const merged: Image = {
    ...image,
    tags: union(before?.tags ?? [], image.tags),
    repoDigests: union(before?.repoDigests ?? [], image.repoDigests),
  };
  const changed: Image[] = [];
  for (const other of images.values()) {
    const tags = other.tags.filter((tag) => !image.tags.includes(tag));
    if (other.id !== image.id && tags.length < other.tags.length) changed.push({ ...other, tags });
  }
  const same = before !== undefined && JSON.stringify(before) === JSON.stringify({ ...before, ...merged });
  return same ? changed : [...changed, merged];
}

function union(first: readonly string[], second: readonly string[]): string[] {
  return [...new Set([...first, ...second])];
}

function createLease(leases: Map<Digest, number>): Lease {
  const held: Digest[] = [];
  return {
    add: (digests) => {
      for (const digest of digests) {
        held.push(digest);
        leases.set(digest, (leases.get(digest) ?? 0) + 1);
      }
    },
    release: () => {
      for (const digest of held.splice(0)) {
        const left = (leases.get(digest) ?? 1) - 1;
        if (left === 0) leases.delete(digest);
        else leases.set(digest, left);
      }
    },
  };
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
