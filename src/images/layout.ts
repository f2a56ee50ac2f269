import { chmod, mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { randomBytes } from "node:crypto";
import { digestHex, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";

/**
 * Where things lie below the images' root, 0700:
 *
 * ```
 * blobs/sha256/<hex>        manifests and configs, as the registry sent them; compressed layers that are kept
 * images/<hex>.json         sidecar of an image, named by its id
 * layers/<folder>/fs        an unpacked layer; beside it layer.json, its sidecar
 * containers/<id>/{upper,work}
 * tmp/                      what is unfinished or being deleted; emptied at start
 * ```
 */
export interface Layout {
  readonly root: string;
  readonly blobs: string;
  readonly images: string;
  readonly layers: string;
  readonly containers: string;
  readonly tmp: string;
}

/** Makes the folders below the root that are missing. */
export async function makeLayout(root: string): Promise<Layout> {
  const layout = {
    root,
    blobs: join(root, "blobs/sha256"),
    images: join(root, "images"),
    layers: join(root, "layers"),
    containers: join(root, "containers"),
    tmp: join(root, "tmp"),
  };
  for (const folder of [root, join(root, "blobs"), ...Object.values(layout)]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Other users of the machine must not reach setuid files of images (CVE-2021-41103, CVE-2024-25621).
    await chmod(folder, 0o700);
  }
  return layout;
}

/** The file of a manifest, a config or a compressed layer. */
export function blobPath(layout: Layout, digest: Digest): string {
  return join(layout.blobs, digestHex(digest));
}

/** The sidecar of an image. */
export function imageSidecar(layout: Layout, id: Digest): string {
  return join(layout.images, `${digestHex(id)}.json`);
}

/** In the folder of a layer that was replaced: the containers that still need it. */
export function retiredMark(layout: Layout, folder: string): string {
  return join(layout.layers, folder, "retired.json");
}

/** A name of 12 characters that nobody can foresee: 120 of them fit one mount(2) call. */
export function shortName(): string {
  return randomBytes(6).toString("hex");
}

/** A path in tmp for something unfinished. */
export function temporaryPath(layout: Layout, kind: string): string {
  return join(layout.tmp, `${kind}-${shortName()}`);
}

/** Writes a file so that it is there whole or not at all: data, fsync, rename, fsync of the folder. */
export async function writeDurably(layout: Layout, path: string, data: string | Uint8Array): Promise<void> {
  const temporary = temporaryPath(layout, "file");
  try {
    await writeSynced(temporary, data);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Writes and syncs a new file, 0600. */
export async function writeSynced(path: string, data: string | Uint8Array): Promise<void> {
  await withFile(path, "wx", async (file) => {
    await file.writeFile(data);
    await file.sync();
  });
}

/** Reads a file of ours whole; throws `internal` where it is larger than `maxBytes` or cannot be read. */
export async function readSmallFile(path: string, maxBytes: number, what: string): Promise<Buffer> {
  try {
    return await withFile(path, "r", async (file) => {
      const { size } = await file.stat();
      if (size > maxBytes) throw new Error(`it is larger than ${maxBytes} bytes`);
      return await file.readFile();
    });
  } catch (error) {
    throw new RuntimeError("internal", `${what}: ${(error as Error).message}`, { cause: error });
  }
}

/** Makes a folder's entries durable. */
export async function syncFolder(path: string): Promise<void> {
  await withFile(path, "r", (folder) => folder.sync());
}

/** Deletes a tree: gone from its place at once, whatever the time that the deleting takes. */
export async function discard(layout: Layout, path: string): Promise<void> {
  const trash = temporaryPath(layout, "trash");
  try {
    await rename(path, trash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await rm(trash, { recursive: true, force: true });
}

async function withFile<T>(path: string, flags: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags, 0o600);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}
