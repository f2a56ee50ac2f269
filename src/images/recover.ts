import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { digestHex, isDigest, type Digest } from "../core/digest.ts";
import type { Image, Layer } from "../core/image.ts";
import type { Store, Write } from "../store/index.ts";
import type { CatalogState, ImageTables, Snapshot } from "./catalog.ts";
import { listBlobSizes } from "./blobs.ts";
import { imageSidecar, retiredMark, writeDurably, type Layout } from "./layout.ts";
import type { LayerSidecar } from "./layers.ts";
import { documentsOf } from "./usage.ts";

/**
 * Reads records and sidecars and makes them agree: what a crash left half done is finished or removed. A sidecar
 * without a record is a commit that was about to be recorded, or a store that was lost: it becomes a record again.
 * A record without its folder is dropped. `onDamaged` is told of what could not be read.
 */
export async function recover(
  layout: Layout,
  store: Store,
  tables: ImageTables,
  onDamaged: (what: string) => void,
): Promise<CatalogState> {
  await empty(layout.tmp);
  const damaged = (key: string, reason: string): void => {
    onDamaged(`record ${key}: ${reason}`);
  };
  const writes: Write[] = [];
  const { layers, retired } = await recoverLayers(layout, tables, writes, damaged);
  const blobs = await listBlobs(layout);
  const images = await recoverImages(layout, tables, { layers, blobs }, writes, damaged);
  const snapshots = await recoverSnapshots(layout, tables, writes, damaged);
  if (writes.length > 0) await store.write(writes, "disk");
  return { layers, images, snapshots, blobs, retired };
}

type Damaged = (key: string, reason: string) => void;

async function recoverLayers(
  layout: Layout,
  tables: ImageTables,
  writes: Write[],
  damaged: Damaged,
): Promise<Pick<CatalogState, "layers" | "retired">> {
  const records = new Map(
    [...(await tables.layers.entries(damaged)).values()].map((layer) => [layer.folder, layer]),
  );
  const found = new Map<Digest, Layer>();
  const retired = new Map<string, readonly string[]>();
  // Recorded ones first: a folder without a record must not take the place of one that has it.
  const folders = (await readdir(layout.layers)).sort(
    (a, b) => Number(records.has(b)) - Number(records.has(a)),
  );
  for (const folder of folders) {
    const record = records.get(folder);
    const users = record === undefined ? await readRetiredMark(layout, folder) : undefined;
    if (users !== undefined) {
      retired.set(folder, users);
      continue;
    }
    const layer = record ?? (await readLayerSidecar(layout, folder))?.layer;
    // A second folder for one diff id comes of a crash between the rename and the record.
    if (layer?.folder !== folder || found.has(layer.diffId)) {
      await rm(join(layout.layers, folder), { recursive: true, force: true });
    } else {
      found.set(layer.diffId, layer);
      if (record === undefined) writes.push(tables.layers.put(layer.diffId, layer));
    }
  }
  for (const { diffId } of records.values())
    if (!found.has(diffId)) writes.push(tables.layers.delete(diffId));
  return { layers: found, retired };
}

/** Containers that a replaced layer is kept for; undefined where it was not replaced. */
async function readRetiredMark(layout: Layout, folder: string): Promise<readonly string[] | undefined> {
  try {
    const users: unknown = JSON.parse(await readFile(retiredMark(layout, folder), "utf8"));
    return Array.isArray(users) ? users.filter((id) => typeof id === "string") : undefined;
  } catch {
    return undefined;
  }
}

/** Reads what lies beside a layer's tree; undefined where it is not whole. */
export async function readLayerSidecar(layout: Layout, folder: string): Promise<LayerSidecar | undefined> {
  try {
    const sidecar = JSON.parse(
      await readFile(join(layout.layers, folder, "layer.json"), "utf8"),
    ) as LayerSidecar;
    return isDigest(sidecar.layer.diffId) && Array.isArray(sidecar.opaque) ? sidecar : undefined;
  } catch {
    return undefined;
  }
}

async function recoverImages(
  layout: Layout,
  tables: ImageTables,
  { layers, blobs }: Pick<CatalogState, "layers" | "blobs">,
  writes: Write[],
  damaged: Damaged,
): Promise<Map<Digest, Image>> {
  const isWhole = (image: Image): boolean =>
    image.layers.every((diffId) => layers.has(diffId)) &&
    documentsOf(image).every((digest) => blobs.has(digest));
  const images = new Map<Digest, Image>();
  for (const [key, image] of await tables.images.entries(damaged)) {
    if (isWhole(image)) images.set(image.id, image);
    else {
      damaged(key, "a layer or document of the image is missing: it must be pulled again");
      writes.push(tables.images.delete(key));
    }
  }
  const taken = new Set([...images.values()].flatMap((image) => image.tags));
  for (const file of await readdir(layout.images)) {
    const image = await readImageSidecar(join(layout.images, file));
    if (image !== undefined && images.has(image.id)) continue;
    if (image === undefined || !isWhole(image)) {
      await rm(join(layout.images, file), { force: true });
      continue;
    }
    const adopted = { ...image, tags: image.tags.filter((tag) => !taken.has(tag)) };
    for (const tag of adopted.tags) taken.add(tag);
    images.set(image.id, adopted);
    writes.push(tables.images.put(image.id, adopted));
  }
  await restoreSidecars(layout, images);
  return images;
}

/** An image whose removal was interrupted has a record and no sidecar. */
async function restoreSidecars(layout: Layout, images: ReadonlyMap<Digest, Image>): Promise<void> {
  const present = new Set(await readdir(layout.images));
  for (const image of images.values()) {
    if (!present.has(`${digestHex(image.id)}.json`)) {
      await writeDurably(layout, imageSidecar(layout, image.id), JSON.stringify(image));
    }
  }
}

/** Reads the sidecar of an image; undefined where it is not whole. */
export async function readImageSidecar(path: string): Promise<Image | undefined> {
  try {
    const image = JSON.parse(await readFile(path, "utf8")) as Image;
    return isDigest(image.id) && Array.isArray(image.layers) && Array.isArray(image.tags) ? image : undefined;
  } catch {
    return undefined;
  }
}

async function recoverSnapshots(
  layout: Layout,
  tables: ImageTables,
  writes: Write[],
  damaged: Damaged,
): Promise<Map<string, Snapshot>> {
  const records = await tables.snapshots.entries(damaged);
  const folders = new Set(await readdir(layout.containers));
  for (const folder of folders) {
    if (!records.has(folder)) await rm(join(layout.containers, folder), { recursive: true, force: true });
  }
  for (const id of records.keys()) {
    if (folders.has(id)) continue;
    records.delete(id);
    writes.push(tables.snapshots.delete(id));
  }
  return records;
}

async function listBlobs(layout: Layout): Promise<Map<Digest, number>> {
  const names = (await readdir(layout.blobs)).filter((name) => isDigest(`sha256:${name}`));
  return await listBlobSizes(layout, names);
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}
