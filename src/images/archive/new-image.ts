import { createHash } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { parseDigest, type Digest } from "../../core/digest.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Image } from "../../core/image.ts";
import type { Job } from "../../core/job.ts";
import { readDocuments, type Blobs, type ImageDocuments } from "../blobs.ts";
import type { Catalog } from "../catalog.ts";
import { digestOf, type Committer } from "../commit.ts";
import { onDisk } from "../disk-errors.ts";
import { isObject, parseConfig, parseJson, type Descriptor } from "../documents.ts";
import { hashing, writeHashed, type HashedFile } from "../hashed-file.ts";
import { temporaryPath, type Layout } from "../layout.ts";
import type { LayerStore } from "../layers.ts";
import { packTree, type PackRequest } from "../pack.ts";
import type { Platform } from "../platform.ts";
import { formatReference, parseReference } from "../reference.ts";
import type { UnpackerSettings } from "../unpack.ts";
import { applyChange, type ProcessConfig } from "./change.ts";
import { isGzip, isZstd } from "./spool.ts";

/** What is said of an image that is made here. */
export interface NewImage {
  /** The tag that it gets. */
  readonly reference: string;
  readonly author: string;
  readonly message: string;
  /** In a Dockerfile's words; see {@link applyChange}. */
  readonly changes: readonly string[];
  readonly job: Job;
  readonly signal: AbortSignal;
}

/** A container whose writable layer becomes a layer. */
export interface CommitRequest extends NewImage {
  /** The image that it was made of. */
  readonly base: Image;
  /** What it has written. */
  readonly tree: Omit<PackRequest, "what">;
  /** Holds the container still while its files are read; the result lets it go on. */
  readonly pause: () => Promise<() => Promise<void>>;
}

/** The tar of a root file system, compressed or not. */
export interface RootfsRequest extends NewImage {
  readonly stream: AsyncIterable<Uint8Array>;
}

/** What making images needs of the store. */
export interface NewImageContext {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly platform: Platform;
  readonly unpacker: UnpackerSettings;
  readonly layers: LayerStore;
  readonly blobs: Blobs;
  readonly committer: Committer;
  /** Of the images that are made. */
  readonly now: () => Date;
}

const oci = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
};
const docker = {
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  gzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
};

/** Makes an image of a container: its image's layers, and what it has written as one more (docker commit). */
export async function commitContainer(context: NewImageContext, request: CommitRequest): Promise<Image> {
  const { layout, now } = context;
  const { base, job } = request;
  const tag = tagOf(request.reference);
  const documents = await readDocuments(layout, base);
  const before = parseJson(documents.configBytes.toString("utf8"), `config of image ${base.id}`);
  const config = changedConfig({ ...before, created: now().toISOString() }, request);
  await using scratch = await scratchFolder(layout, "commit");
  const { diffId, ...layer } = await job.stage("pack", () =>
    onDisk(layout.root, `image ${tag}`, () => packWritable(context, request, join(scratch.path, "layer"))),
  );
  const isDocker = documents.manifest.mediaType === docker.manifest;
  const types = isDocker ? docker : oci;
  const descriptor: Descriptor = { mediaType: types.gzip, digest: layer.digest, size: layer.size };
  const image = {
    ...config,
    ...rootfsWith(config, diffId),
    history: [
      ...listOf(config["history"]),
      { created: config["created"], created_by: "berth commit", ...described(request) },
    ],
  };
  return await commitImage(context, request, tag, {
    types,
    config: image,
    layers: [...documents.layers, descriptor],
    origins: [...base.repoDigests, ...(base.origins ?? [])],
    source: ({ digest }) =>
      digest === layer.digest
        ? { kind: "file", path: layer.path }
        : { kind: "stream", open: (ended) => readBase(context.blobs, base, documents, digest, ended) },
  });
}

/** Makes an image of one layer out of the tar of a root file system (docker import). */
export async function importRootfs(context: NewImageContext, request: RootfsRequest): Promise<Image> {
  const { layout, catalog, platform, layers, now } = context;
  const { job, signal } = request;
  const tag = tagOf(request.reference);
  const config = changedConfig({ created: now().toISOString(), ...platform }, request);
  await using scratch = await scratchFolder(layout, "rootfs");
  const path = join(scratch.path, "layer");
  const stored = await job.stage("read", () =>
    onDisk(layout.root, `image ${tag}`, () => writeHashed(request.stream, path, signal)),
  );
  const lease = catalog.lease();
  try {
    const what = `root file system of ${tag}`;
    const { diffId } = await job.stage("unpack", () =>
      layers.take({ kind: "file", path }, what, lease, signal),
    );
    const mediaType = (await isGzip(stored)) ? oci.gzip : (await isZstd(stored)) ? oci.zstd : oci.layer;
    const image = {
      ...config,
      ...rootfsWith({}, diffId),
      history: [{ created: config["created"], created_by: "berth import --rootfs", ...described(request) }],
    };
    return await commitImage(context, request, tag, {
      types: oci,
      config: image,
      layers: [{ mediaType, digest: stored.digest, size: stored.size }],
      source: () => ({ kind: "file", path }),
    });
  } finally {
    lease.release();
    await catalog.collect();
  }
}

interface Made {
  readonly types: { readonly manifest: string; readonly config: string };
  readonly config: object;
  readonly layers: readonly Descriptor[];
  readonly origins?: readonly string[];
  readonly source: Parameters<Committer["commit"]>[0]["source"];
}

async function commitImage(
  { committer }: NewImageContext,
  { job, signal }: NewImage,
  tag: string,
  { types, config, layers, origins, source }: Made,
): Promise<Image> {
  const configBytes = Buffer.from(JSON.stringify(config));
  const manifest = {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: digestOf(configBytes), size: configBytes.length },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  };
  const draft = {
    name: tag,
    manifestBytes: Buffer.from(JSON.stringify(manifest)),
    configBytes,
    config: parseConfig(configBytes.toString("utf8"), `config of ${tag}`),
    layers,
    tags: [tag],
    repoDigests: [],
    ...(origins && { origins }),
    queue: "local",
    source,
  };
  return await job.stage("layers", () => committer.commit(draft, signal));
}

function tagOf(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== undefined) {
    throw new RuntimeError(
      "invalid-argument",
      `${text}: a name with a digest cannot be given to a new image`,
    );
  }
  return formatReference(reference);
}

function described({ author, message }: NewImage): object {
  return { ...(author !== "" && { author }), ...(message !== "" && { comment: message }) };
}

function changedConfig(before: ProcessConfig, request: NewImage): Readonly<Record<string, unknown>> {
  const process = isObject(before["config"]) ? before["config"] : {};
  return {
    ...before,
    ...(request.author !== "" && { author: request.author }),
    config: request.changes.reduce(applyChange, process),
  };
}

function rootfsWith(config: ProcessConfig, diffId: Digest): object {
  const before = isObject(config["rootfs"]) ? listOf(config["rootfs"]["diff_ids"]) : [];
  return { rootfs: { type: "layers", diff_ids: [...before, diffId] } };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

async function* readBase(
  blobs: Blobs,
  base: Image,
  { layers }: ImageDocuments,
  digest: Digest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const layer = layers.find((one) => one.digest === digest);
  if (layer !== undefined) yield* blobs.read(base, layer, signal);
}

/** Packs the writable layer while the container holds still, compressed. */
async function packWritable(
  { unpacker }: NewImageContext,
  { tree, pause, reference, signal }: CommitRequest,
  path: string,
): Promise<HashedFile & { readonly diffId: Digest }> {
  const what = `writable layer for ${reference}`;
  const goOn = await pause();
  try {
    const uncompressed = createHash("sha256");
    const tar = packTree(unpacker, { ...tree, what }, signal);
    const gzip = createGzip();
    const packed = pipeline(tar, (chunks) => hashing(chunks, uncompressed), gzip, { signal });
    packed.catch(() => undefined);
    try {
      const stored = await writeHashed(gzip, path, signal);
      await packed;
      return { ...stored, diffId: parseDigest(`sha256:${uncompressed.digest("hex")}`) };
    } finally {
      // The packer ends before the container goes on and the folder is removed.
      gzip.destroy();
      await packed.catch(() => undefined);
    }
  } finally {
    await goOn();
  }
}

async function scratchFolder(
  layout: Layout,
  kind: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = temporaryPath(layout, kind);
  await mkdir(path, { mode: 0o700 });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
