import { join } from "node:path";
import { systemClock, type Clock } from "../core/clock.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Digest } from "../core/digest.ts";
import type { ContainerId } from "../core/ids.ts";
import type { Image } from "../core/image.ts";
import type { Store } from "../store/index.ts";
import { importArchive, type ImportRequest } from "./archive/import.ts";
import {
  commitContainer,
  importRootfs,
  type CommitRequest,
  type RootfsRequest,
} from "./archive/new-image.ts";
import { saveArchive, type SavedImage } from "./archive/save.ts";
import { openBlobs, readDocuments, type BlobPolicy } from "./blobs.ts";
import { checkStore, type CheckReport, type CheckRequest } from "./check.ts";
import { imageTables, openCatalog, type Catalog } from "./catalog.ts";
import { createCommitter, digestOf } from "./commit.ts";
import { maxDocumentBytes } from "./documents.ts";
import { buildFromHost, type HostImageRequest } from "./host/from-host.ts";
import { blobPath, makeLayout, readSmallFile, type Layout } from "./layout.ts";
import { openLayers } from "./layers.ts";
import { createLimiter } from "./limiter.ts";
import { packTree, type Owners, type PackRequest } from "./pack.ts";
import { isPinned } from "./pinned.ts";
import { hostPlatform } from "./platform.ts";
import { fetchAgain } from "./fetch-again.ts";
import { pullImage, type PullRequest, type PullResult } from "./pull.ts";
import { pushImage, type PushRequest } from "./push.ts";
import { readLayerSidecar, recover } from "./recover.ts";
import { openDockerConfig } from "./registry/docker-config.ts";
import { openHttp } from "./registry/http.ts";
import { openMirrors } from "./registry/mirrors.ts";
import { readProxies, type Environment } from "./registry/proxy.ts";
import { formatReference, parseReference } from "./reference.ts";
import { resolveImage } from "./resolve.ts";
import { searchRegistry, type SearchRequest, type SearchResult } from "./search.ts";
import { openSignaturePolicy } from "./signatures/policy.ts";
import {
  lowersOf,
  openSnapshots,
  type ContainerTree,
  type ImageLayers,
  type Snapshot,
  type SnapshotForm,
  type WritableLayer,
} from "./snapshots.ts";
import { bytesFreed, referencesOf, usageByImage, type StoreUsage } from "./usage.ts";
import { readMerged, type ViewLayer } from "./view.ts";

/** How the image store is set up. */
export interface ImageStoreSettings {
  /** Folder of images, layers and writable layers; made 0700 where missing. */
  readonly root: string;
  readonly store: Store;
  /** Path of the LuaJIT interpreter. */
  readonly luajit: string;
  /** Path of the unpacker's bundle, `berth-unpack.lua`. */
  readonly unpacker: string;
  /** Most bytes that one layer may unpack to. */
  readonly maxLayerBytes: number;
  /** Registries besides those on loopback that are spoken to without TLS. */
  readonly insecureRegistries: readonly string[];
  /** Folder of hosts files in containerd's layout; absent is no mirrors. */
  readonly certsDir?: string;
  /** Docker's config.json with credentials of the node; absent is none. */
  readonly dockerConfig?: string;
  /** File that says which images need whose signature; absent is none. */
  readonly signaturePolicy?: string;
  /** Variables that name proxies; absent is no proxy. */
  readonly environment?: Environment;
  /** Reference patterns, `*` allowed, that garbage collection leaves. */
  readonly pinned: readonly string[];
  /** How containers get a root of their own; `overlay` where absent. Those that exist keep what they have. */
  readonly snapshotter?: SnapshotForm;
  /** Compressed layers that stay on disk; `local` where absent. */
  readonly keepBlobs?: BlobPolicy;
  /** Told of records and files that were found damaged at start. */
  readonly onDamaged: (what: string) => void;
  readonly clock?: Clock;
  /** No byte for this long ends a try; 30 s where absent. */
  readonly stallTimeoutMs?: number;
  /** Larger blobs are pushed in pieces of this size; 64 MiB where absent. */
  readonly uploadChunkBytes?: number;
}

/** What images and layers take of the disk, as counted when they were committed. */
export interface FilesystemUsage {
  readonly mountpoint: string;
  readonly usedBytes: number;
  readonly inodesUsed: number;
  /** Nanoseconds since the epoch. */
  readonly timestamp: bigint;
}

/** A container to make an image of. */
export interface CommitContainerRequest extends Omit<CommitRequest, "base" | "tree"> {
  /** The user namespace of its pod. */
  readonly owners?: Owners;
  readonly containerId: ContainerId;
  /** Of the image that it was made of, which must still be here. */
  readonly imageId: string;
}

/** Images, their layers, and the writable layers of containers. */
export interface ImageStore {
  /** Pulls from a registry; see {@link pullImage} for its rules. Errors carry the code of the registry's answer. */
  pull(request: PullRequest): Promise<PullResult>;
  /** Brings in every image of an OCI layout tar or a `docker save` tar. */
  import(request: ImportRequest): Promise<Image[]>;
  /**
   * Writes images, by the names that {@link resolve} takes, as a tar of OCI and `docker save` at once; digests stay.
   * What an id names keeps its tags, a tag stands for itself alone. Throws `not-found` before the first byte.
   */
  save(names: readonly string[], signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Makes an image of what a container has written, on top of its own image. */
  commitContainer(request: CommitContainerRequest): Promise<Image>;
  /** The tree that a container sees, as a tar, without what is mounted into it. */
  exportContainer(
    containerId: ContainerId,
    owners: Owners | undefined,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Makes an image of the tar of a root file system. */
  importRootfs(request: RootfsRequest): Promise<Image>;
  /** Makes an image of the host's own binaries and the libraries they need. */
  fromHost(request: HostImageRequest): Promise<Image>;
  /** By id, tag, repository digest, or a unique prefix of an id; `invalid-argument` for text that is none of these. */
  resolve(text: string): Image | undefined;
  list(): Image[];
  /** Gives an image a further name, which others lose; throws `not-found` where there is no such image. */
  tag(source: string, target: string): Promise<Image>;
  /** Pushes to a registry; see {@link pushImage}. Gives repository and digest. */
  push(request: PushRequest): Promise<string>;
  /** Asks a registry for its repositories, or for the tags of one; see {@link searchRegistry}. */
  search(request: SearchRequest): Promise<SearchResult>;
  /** Removes an image with all its tags, and the layers that neither images nor containers need; absent is no error. */
  remove(text: string): Promise<void>;
  filesystemUsage(): FilesystemUsage;
  /** What images and layers take of the disk, each by itself. */
  usage(): StoreUsage;
  /** Bytes that removing these images together would free. */
  freedBy(ids: readonly Digest[]): number;
  /** Verifies what is on disk, and mends it where asked to. */
  check(request: CheckRequest): Promise<CheckReport>;
  /** Makes the writable layer of a container and keeps the image's layers for it. */
  prepare(containerId: ContainerId, image: Image, signal: AbortSignal): Promise<Snapshot>;
  /** Keeps a further image for a container, such as an image volume. */
  hold(containerId: ContainerId, image: Image, signal: AbortSignal): Promise<ImageLayers>;
  /** Removes a container's writable layer and lets go of its images; absent is no error. */
  removeSnapshot(containerId: ContainerId): Promise<void>;
  /** Where that is which the container itself wrote. */
  writableLayer(containerId: ContainerId): WritableLayer;
  /** Reads a regular file of an image; undefined where it has none of that path. */
  readImageFile(image: Image, path: string, maxBytes: number): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

/** Layers of one registry at work at a time. */
const maxLayersAtOnce = 4;
/** Layers that go to one registry at a time. */
const maxUploadsAtOnce = 3;
const defaultUploadChunkBytes = 64 * 1024 * 1024;
const connectTimeoutMs = 10_000;
const defaultStallTimeoutMs = 30_000;

/** Opens the image store: finishes or removes what a crash left, then collects what nothing needs. */
export async function openImages(settings: ImageStoreSettings): Promise<ImageStore> {
  const { root, store, luajit, maxLayerBytes, insecureRegistries, pinned } = settings;
  const layout = await makeLayout(root);
  const tables = imageTables(store);
  const state = await recover(layout, store, tables, settings.onDamaged);
  const catalog = openCatalog(layout, store, tables, state);
  await catalog.collect();
  const unpacker = { luajit, program: settings.unpacker, maxLayerBytes };
  const layers = openLayers(layout, catalog, unpacker, createLimiter(maxLayersAtOnce));
  const committer = createCommitter(layout, catalog, layers, unpacker, settings.keepBlobs ?? "local");
  const snapshots = openSnapshots(layout, catalog, unpacker, settings.snapshotter ?? "overlay");
  const stallTimeoutMs = settings.stallTimeoutMs ?? defaultStallTimeoutMs;
  const http = openHttp(
    { connectTimeoutMs: Math.min(connectTimeoutMs, stallTimeoutMs), stallTimeoutMs },
    readProxies(settings.environment ?? {}),
  );
  const platform = hostPlatform();
  const policy = { insecureRegistries };
  const mirrors = openMirrors(settings.certsDir, policy);
  const stored = openDockerConfig(settings.dockerConfig);
  const registries = { http, policy, mirrors, stored };
  const pullContext = {
    ...registries,
    platform,
    committer,
    signatures: openSignaturePolicy(settings.signaturePolicy),
    local: (digest: Digest) => readLocal(layout, catalog, digest),
  };
  const blobs = openBlobs(layout, catalog, (image, layer, signal) =>
    fetchAgain(registries, image, layer, signal),
  );
  const pushContext = {
    ...registries,
    layout,
    kept: blobs,
    limiter: createLimiter(maxUploadsAtOnce),
    chunkBytes: settings.uploadChunkBytes ?? defaultUploadChunkBytes,
  };
  const clock = settings.clock ?? systemClock;
  const newImages = {
    ...{ layout, catalog, platform, unpacker, layers, blobs, committer },
    now: () => new Date(Number(clock() / 1_000_000n)),
  };
  const found = (name: string): Image => {
    const image = resolveImage(catalog.images, named(name));
    if (image === undefined) throw new RuntimeError("not-found", `image ${name} not found`);
    return image;
  };
  const shown = (image: Image): Image => ({
    ...image,
    pinned: image.tags.some((tag) => isPinned(tag, pinned)),
  });

  return {
    pull: async (request) => {
      const result = await pullImage(pullContext, request);
      return { ...result, image: shown(result.image) };
    },
    import: async (request) => (await importArchive({ layout, platform, committer }, request)).map(shown),
    commitContainer: async ({ containerId, imageId, ...request }) => {
      const base = resolveImage(catalog.images, imageId);
      if (base === undefined) {
        const text = `container ${containerId}: its image ${imageId} was removed: pull it again to commit onto it`;
        throw new RuntimeError("failed-precondition", text);
      }
      const { owners, ...others } = request;
      const tree = treeWith(snapshots.written(containerId), owners);
      return shown(await commitContainer(newImages, { ...others, base, tree }));
    },
    exportContainer: (containerId, owners, signal) =>
      packTree(
        unpacker,
        { ...treeWith(snapshots.seen(containerId), owners), what: `container ${containerId}` },
        signal,
      ),
    importRootfs: async (request) => shown(await importRootfs(newImages, request)),
    fromHost: async (request) => shown(await buildFromHost({ layout, platform, committer }, request)),
    save: async function* (names, signal) {
      const chosen = chooseSaved(catalog.images, names);
      const lease = catalog.lease();
      for (const { image } of chosen) lease.add(referencesOf(image));
      try {
        const saved: SavedImage[] = [];
        for (const one of chosen) saved.push({ ...one, documents: await readDocuments(layout, one.image) });
        yield* saveArchive(saved, blobs, signal);
      } finally {
        lease.release();
        await catalog.collect();
      }
    },
    resolve: (text) => {
      const found = resolveImage(catalog.images, named(text));
      return found === undefined ? undefined : shown(found);
    },
    list: () => [...catalog.images.values()].map(shown),
    tag: async (source, target) => shown(await catalog.tagImage(found(source).id, readTag(target))),
    search: (request) => searchRegistry(registries, request),
    push: async (request) => {
      const image = found(request.source);
      const lease = catalog.lease();
      lease.add(referencesOf(image));
      try {
        return await pushImage(pushContext, image, request);
      } finally {
        lease.release();
        await catalog.collect();
      }
    },
    remove: async (text) => {
      const image = resolveImage(catalog.images, text);
      if (image !== undefined) await catalog.deleteImage(image.id);
    },
    usage: () => {
      const usage = usageByImage(catalog);
      return {
        ...usage,
        images: usage.images.map((one) => ({ ...one, image: shown(one.image) })),
        layers: usage.layers.map((one) => ({ ...one, path: join(layout.layers, one.path) })),
      };
    },
    freedBy: (ids) => bytesFreed(catalog, ids),
    check: (request) => checkStore({ layout, catalog, unpacker, layers, blobs, registries }, request),
    filesystemUsage: () => usageOf(layout, catalog, clock),
    prepare: (containerId, image, signal) => snapshots.prepare(containerId, image, signal),
    hold: (containerId, image, signal) => snapshots.hold(containerId, image, signal),
    removeSnapshot: async (containerId) => {
      const layers = catalog.snapshots.get(containerId)?.layers ?? [];
      await snapshots.remove(containerId);
      // As a rule its image is still here: then this waits for no pull's writes.
      if (!catalog.needs(layers) || catalog.retired.size > 0) await catalog.collect();
    },
    writableLayer: (containerId) => snapshots.writableLayer(containerId),
    readImageFile: async (image, path, maxBytes) =>
      readMerged(await viewLayers(layout, catalog, image), path, maxBytes),
    close: () => http.close(),
  };
}

/** The files of a container with the ids that it sees itself. */
function treeWith(
  { form, folders, owners: kept }: ContainerTree,
  owners: Owners | undefined,
): Omit<PackRequest, "what"> {
  return { form, folders, ...(kept === "outside" && owners && { owners }) };
}

/** A manifest or config from the disk, where it is whole; a damaged one is as good as absent. */
async function readLocal(layout: Layout, catalog: Catalog, digest: Digest): Promise<Buffer | undefined> {
  if (!catalog.hasBlob(digest)) return undefined;
  try {
    const bytes = await readSmallFile(blobPath(layout, digest), maxDocumentBytes, `document ${digest}`);
    return digestOf(bytes) === digest ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** A name with a tag: a digest says itself what it names. */
function readTag(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== undefined) {
    throw new RuntimeError("invalid-argument", `${text}: an image is given tags, not digests`);
  }
  return formatReference(reference);
}

function named(text: string): string {
  if (text === "") throw new RuntimeError("invalid-argument", "no image is named");
  return text;
}

/** Images by their names, each once with every name that was given for it. */
function chooseSaved(
  images: ReadonlyMap<Digest, Image>,
  names: readonly string[],
): Omit<SavedImage, "documents">[] {
  const chosen = new Map<Digest, Omit<SavedImage, "documents">>();
  for (const name of names) {
    const image = resolveImage(images, named(name));
    if (image === undefined) throw new RuntimeError("not-found", `image ${name} not found`);
    const tag = image.tags.find((known) => isSameTag(known, name));
    const tags = [...(chosen.get(image.id)?.tags ?? []), ...(tag === undefined ? [] : [tag])];
    chosen.set(image.id, { image, tags: [...new Set(tags)] });
  }
  // Only ids were given for it: it keeps the names it has.
  return [...chosen.values()].map((one) => (one.tags.length > 0 ? one : { ...one, tags: one.image.tags }));
}

function isSameTag(tag: string, name: string): boolean {
  try {
    return formatReference(parseReference(name)) === tag;
  } catch {
    return false;
  }
}

function usageOf(layout: Layout, catalog: Catalog, clock: Clock): FilesystemUsage {
  let usedBytes = 0;
  // A sidecar for each image; documents and kept layers.
  let inodesUsed = catalog.images.size + catalog.blobs.size;
  for (const sizeBytes of catalog.blobs.values()) usedBytes += sizeBytes;
  for (const layer of catalog.layers.values()) {
    usedBytes += layer.sizeBytes;
    // Its folder and its sidecar besides the tree.
    inodesUsed += layer.inodes + 2;
  }
  return { mountpoint: layout.root, usedBytes, inodesUsed, timestamp: clock() };
}

async function viewLayers(layout: Layout, catalog: Catalog, image: Image): Promise<ViewLayer[]> {
  const folders = lowersOf(catalog, image).map((lower) => lower.slice(0, lower.indexOf("/")));
  return await Promise.all(
    folders.map(async (folder) => {
      const sidecar = await readLayerSidecar(layout, folder);
      if (sidecar === undefined) {
        throw new RuntimeError(
          "internal",
          `layer ${folder} of image ${image.id}: its sidecar cannot be read`,
        );
      }
      return { path: join(layout.layers, folder, "fs"), opaque: new Set(sidecar.opaque) };
    }),
  );
}
