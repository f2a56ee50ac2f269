import { execFile } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { lstat, mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ContainerId } from "../../src/core/ids.ts";
import type { Image } from "../../src/core/image.ts";
import type { Job } from "../../src/core/job.ts";
import {
  openImages,
  type ImageStore,
  type ImageStoreSettings,
  type Snapshot,
} from "../../src/images/index.ts";
import { openStore, type Store } from "../../src/store/index.ts";

const run = promisify(execFile);
const repository = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const luajit = "/usr/bin/luajit";
export const unpacker = join(repository, "dist/shim/berth-unpack.lua");

/** Compiles the unpacker where its bundle is missing or older than a source. */
export async function buildUnpacker(): Promise<void> {
  const sources = join(repository, "src/images/unpacker");
  const newest = Math.max(...(await readdir(sources)).map((name) => statSync(join(sources, name)).mtimeMs));
  if (existsSync(unpacker) && statSync(unpacker).mtimeMs > newest) return;
  const compiler = join(repository, "node_modules/typescript-to-lua/dist/tstl.js");
  await run(process.execPath, [compiler, "-p", join(sources, "tsconfig.json")], { cwd: repository });
}

/** A job that keeps its notes for the test to read. */
export function testJob(): Job & { readonly notes: string[] } {
  const notes: string[] = [];
  const { signal } = new AbortController();
  return { id: "test", signal, notes, stage: (_name, work) => work(), note: (text) => void notes.push(text) };
}

/** A folder that goes when the test ends. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "berth-images-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** An image store on a folder, with its records. */
export interface TestStore extends AsyncDisposable {
  readonly images: ImageStore;
  readonly store: Store;
  readonly root: string;
  readonly damaged: string[];
}

/** Opens an image store below `folder`; opening the same folder again is a restart of the daemon. */
export async function openTestImages(
  folder: string,
  change: Partial<ImageStoreSettings> = {},
): Promise<TestStore> {
  await buildUnpacker();
  const store = await openStore(join(folder, "store"));
  const root = join(folder, "root");
  const damaged: string[] = [];
  const images = await openImages({
    root,
    store,
    luajit,
    unpacker,
    maxLayerBytes: 10 * 1024 ** 3,
    insecureRegistries: [],
    pinned: [],
    onDamaged: (what) => damaged.push(what),
    ...change,
  });
  const dispose = async (): Promise<void> => {
    await images.close();
    await store.close();
  };
  return { images, store, root, damaged, [Symbol.asyncDispose]: dispose };
}

/** The writable layer of a container, by a store whose snapshots are overlays. */
export async function prepareOverlay(
  images: ImageStore,
  containerId: ContainerId,
  image: Image,
): Promise<Extract<Snapshot, { kind: "overlay" }>> {
  const snapshot = await images.prepare(containerId, image, new AbortController().signal);
  if (snapshot.kind !== "overlay") throw new Error(`not an overlay: ${snapshot.kind}`);
  return snapshot;
}

/** Every path below a folder with what can be told about it, sorted: two equal lists are two equal trees. */
export async function describeTree(root: string): Promise<string[]> {
  const lines: string[] = [];
  const walk = async (path: string): Promise<void> => {
    const status = await lstat(join(root, path));
    const link = status.isSymbolicLink() ? await readlink(join(root, path)) : "";
    const size = status.isFile() ? status.size : 0;
    const links = status.isDirectory() ? 0 : status.nlink;
    const owner = `${status.uid}:${status.gid}`;
    lines.push(
      [path, status.mode.toString(8), owner, size, links, status.rdev, status.mtimeMs, link].join(" "),
    );
    if (status.isDirectory())
      for (const name of await readdir(join(root, path))) await walk(join(path, name));
  };
  await walk(".");
  return lines.sort();
}

/** The paths below a root, for comparing before and after something that must leave nothing. */
export async function listPaths(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  return names.sort();
}
