import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestHex, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image, Layer } from "../core/image.ts";
import type { Job } from "../core/job.ts";
import { readContents } from "./artifact.ts";
import { keepBlob, type Blobs } from "./blobs.ts";
import type { Catalog } from "./catalog.ts";
import { digestOf } from "./commit.ts";
import { readCompletion } from "./completion.ts";
import { maxDocumentBytes, parseDocument, type Descriptor } from "./documents.ts";
import { blobPath, imageSidecar, readSmallFile, temporaryPath, writeDurably, type Layout } from "./layout.ts";
import { asTar, type LayerRequest, type LayerStore } from "./layers.ts";
import { digestTree, type DigestDepth } from "./pack.ts";
import { fetchAgain, fetchDocumentAgain } from "./fetch-again.ts";
import type { RegistryContext } from "./registry/access.ts";
import { readImageSidecar, readLayerSidecar } from "./recover.ts";
import { documentsOf } from "./usage.ts";
import { unpackLayer, type LayerSource, type UnpackerSettings } from "./unpack.ts";

/** How a store is checked. */
export interface CheckRequest {
  /** `content` unpacks every layer again, from its kept or fetched blob, and compares what files hold. */
  readonly depth: DigestDepth;
  /** `repair` fetches what is damaged again by its digest; nothing is ever removed for being damaged. */
  readonly mode: "report" | "repair";
  readonly job: Job;
  readonly signal: AbortSignal;
}

/** Something that is not as it was committed. */
export interface Finding {
  readonly kind: "manifest" | "config" | "blob" | "layer" | "record" | "leftover";
  /** Digest, or the path of what belongs to nothing. */
  readonly subject: string;
  readonly problem: string;
  /** Names or ids of the images that need it. */
  readonly images: readonly string[];
  readonly repair:
    { readonly result: "not-tried" | "repaired" } | { readonly result: "failed"; readonly reason: string };
}

/** What was looked at and what was found. */
export interface CheckReport {
  readonly images: number;
  readonly layers: number;
  readonly blobs: number;
  readonly findings: readonly Finding[];
}

/** What checking needs of the store. */
export interface CheckContext {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly unpacker: UnpackerSettings;
  readonly layers: LayerStore;
  readonly blobs: Blobs;
  readonly registries: RegistryContext;
}

type Problem = Pick<Finding, "kind" | "subject" | "problem" | "images">;

/** A layer that an image needs, and how it is fetched. */
interface Wanted {
  readonly image: Image;
  /** Absent for a layer that was made here to complete the others. */
  readonly descriptor?: Descriptor;
  readonly source: LayerSource;
  readonly request: Pick<LayerRequest, "part">;
}

/** Verifies documents, kept blobs, layers and records against their digests, and mends them where asked to. */
export async function checkStore(context: CheckContext, request: CheckRequest): Promise<CheckReport> {
  const { catalog } = context;
  const { job } = request;
  const findings: Finding[] = [];
  const found = async (problem: Problem, mend?: () => Promise<unknown>): Promise<void> => {
    findings.push({ ...problem, repair: await repair(request, mend) });
  };
  const images = [...catalog.images.values()];
  const wanted = await job.stage("documents", async () => {
    const all = new Map<Digest, Wanted>();
    for (const image of images) {
      if (catalog.images.has(image.id)) await checkDocuments(context, request, image, all, found);
    }
    return all;
  });
  const kept = [...catalog.blobs.keys()].filter((digest) => !isDocument(images, digest));
  await job.stage("blobs", async () => {
    for (const digest of kept) await checkBlob(context, request, digest, wanted, found);
  });
  const layers = [...new Set(images.flatMap((image) => image.layers).concat([...catalog.layers.keys()]))];
  await job.stage("layers", async () => {
    for (const diffId of layers) await checkLayer(context, request, diffId, wanted, found);
  });
  await job.stage("leftovers", () => checkLeftovers(context, found));
  return { images: images.length, layers: layers.length, blobs: kept.length, findings };
}

type Found = (problem: Problem, mend?: () => Promise<unknown>) => Promise<void>;

async function repair(
  { mode, signal }: CheckRequest,
  mend: (() => Promise<unknown>) | undefined,
): Promise<Finding["repair"]> {
  signal.throwIfAborted();
  if (mode === "report" || mend === undefined) return { result: "not-tried" };
  try {
    await mend();
    return { result: "repaired" };
  } catch (thrown) {
    signal.throwIfAborted();
    return { result: "failed", reason: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

function nameOf(image: Image): string {
  return image.tags[0] ?? image.repoDigests[0] ?? image.id;
}

function isDocument(images: readonly Image[], digest: Digest): boolean {
  return images.some((image) => documentsOf(image).includes(digest));
}

/** Manifest, config and sidecar of an image; notes which layers it wants. */
async function checkDocuments(
  context: CheckContext,
  { signal }: CheckRequest,
  image: Image,
  wanted: Map<Digest, Wanted>,
  found: Found,
): Promise<void> {
  const { layout, registries } = context;
  const names = [nameOf(image)];
  const read = (digest: Digest): Promise<Buffer | string> => readVerified(layout, digest);
  let manifest = await read(image.manifest);
  if (typeof manifest === "string") {
    await found({ kind: "manifest", subject: image.manifest, problem: manifest, images: names }, async () => {
      const bytes = await fetchDocumentAgain(registries, image, "manifest", signal);
      await writeDurably(layout, blobPath(layout, image.manifest), bytes);
    });
    manifest = await read(image.manifest);
  }
  // Without its manifest nothing is known of where its config and layers are.
  if (typeof manifest === "string") return;
  const document = parseDocument(manifest.toString("utf8"), `manifest of ${nameOf(image)}`);
  if (document.kind === "index") return;
  let config = await read(document.config.digest);
  if (typeof config === "string") {
    const subject = document.config.digest;
    await found({ kind: "config", subject, problem: config, images: names }, async () => {
      const bytes = await fetchDocumentAgain(registries, image, document.config, signal);
      await writeDurably(layout, blobPath(layout, subject), bytes);
    });
    config = await read(document.config.digest);
  }
  const sidecar = await readImageSidecar(imageSidecar(layout, image.id));
  if (JSON.stringify(sidecar) !== JSON.stringify(image)) {
    const problem = sidecar === undefined ? "its sidecar cannot be read" : "its sidecar says something else";
    await found({ kind: "record", subject: image.id, problem, images: names }, () =>
      writeDurably(layout, imageSidecar(layout, image.id), JSON.stringify(image)),
    );
  }
  if (typeof config === "string") return;
  const parts = readContents(document, config, nameOf(image)).artifact?.parts;
  document.layers.forEach((descriptor, index) => {
    const diffId = image.layers[index];
    const part = parts?.[index];
    if (diffId !== undefined && !wanted.has(diffId))
      wanted.set(diffId, {
        image,
        descriptor,
        // The kept blob, whose digest the unpacker's diff id vouches for; else the registry.
        source: { kind: "stream", open: (ended) => context.blobs.read(image, descriptor, ended) },
        request: part === undefined ? {} : { part },
      });
  });
  const below = image.layers.slice(0, document.layers.length);
  const completion = image.layers[document.layers.length];
  if (completion === undefined || wanted.has(completion)) return;
  const what = `layers of ${nameOf(image)}`;
  const open = (ended: AbortSignal): AsyncIterable<Uint8Array> => readCompletion(context, below, what, ended);
  wanted.set(completion, { image, source: { kind: "stream", open }, request: {} });
}

/** A document with the right digest, or what is wrong with it. */
async function readVerified(layout: Layout, digest: Digest): Promise<Buffer | string> {
  try {
    const bytes = await readSmallFile(blobPath(layout, digest), maxDocumentBytes, "its file");
    const actual = digestOf(bytes);
    return actual === digest ? bytes : `its content has digest ${actual}`;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

async function checkBlob(
  { layout, catalog, registries }: CheckContext,
  { signal }: CheckRequest,
  digest: Digest,
  wanted: ReadonlyMap<Digest, Wanted>,
  found: Found,
): Promise<void> {
  const problem = await problemOfBlob(blobPath(layout, digest), digest, signal);
  if (problem === undefined || !catalog.hasBlob(digest)) return;
  const needing = [...wanted.values()].flatMap(({ image, descriptor }) =>
    descriptor?.digest === digest ? [{ image, descriptor }] : [],
  );
  const [first] = needing;
  const images = needing.map(({ image }) => nameOf(image));
  await found({ kind: "blob", subject: digest, problem, images }, async () => {
    if (first === undefined) throw new Error("no image needs it");
    await using keeper = keepBlob(layout, first.descriptor);
    const bytes = keeper.tee(fetchAgain(registries, first.image, first.descriptor, signal));
    for await (const _chunk of bytes) signal.throwIfAborted();
    await keeper.commit();
    catalog.addBlob(digest, first.descriptor.size);
  });
}

async function problemOfBlob(path: string, digest: Digest, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { signal }) as AsyncIterable<Buffer>) hash.update(chunk);
  } catch (thrown) {
    signal.throwIfAborted();
    return messageOf(thrown);
  }
  const actual = hash.digest("hex");
  return actual === digestHex(digest) ? undefined : `its content has digest sha256:${actual}`;
}

async function checkLayer(
  context: CheckContext,
  request: CheckRequest,
  diffId: Digest,
  wanted: ReadonlyMap<Digest, Wanted>,
  found: Found,
): Promise<void> {
  const { catalog, layers } = context;
  const { signal } = request;
  const layer = catalog.layers.get(diffId);
  const want = wanted.get(diffId);
  const needing = [...catalog.images.values()].filter((image) => image.layers.includes(diffId));
  // Removed meanwhile: nobody needs it.
  if (layer === undefined && needing.length === 0) return;
  const problem =
    layer === undefined ? "it is not in the store" : await problemOfLayer(context, request, layer, want);
  if (problem === undefined || catalog.layers.get(diffId) !== layer) return;
  await found({ kind: "layer", subject: diffId, problem, images: needing.map(nameOf) }, async () => {
    if (want === undefined) throw new Error("no image's manifest says where it comes from");
    await layers.replace({
      ...want.request,
      diffId,
      source: want.source,
      what: `layer ${want.descriptor?.digest ?? diffId} of ${nameOf(want.image)}`,
      queue: "local",
      signal,
    });
  });
}

async function problemOfLayer(
  context: CheckContext,
  request: CheckRequest,
  layer: Layer,
  want: Wanted | undefined,
): Promise<string | undefined> {
  const { layout, unpacker } = context;
  const { depth, signal } = request;
  const tree = join(layout.layers, layer.folder, "fs");
  try {
    await stat(tree);
  } catch (thrown) {
    return messageOf(thrown);
  }
  const sidecar = await readLayerSidecar(layout, layer.folder);
  if (sidecar === undefined) return "its sidecar cannot be read";
  if (sidecar.layer.diffId !== layer.diffId) return `its sidecar is of layer ${sidecar.layer.diffId}`;
  try {
    const what = `layer ${layer.diffId}`;
    const treeDigest = await digestTree(unpacker, tree, "metadata", what, signal);
    if (treeDigest !== (sidecar.treeDigest ?? treeDigest))
      return "names, owners, modes, sizes or times of its files have changed";
    if (depth === "metadata" || want === undefined) return undefined;
    const here = await digestTree(unpacker, tree, "content", what, signal);
    const fresh = await freshDigest(context, want, what, signal);
    return here === fresh ? undefined : "its files hold something else than its blob";
  } catch (thrown) {
    signal.throwIfAborted();
    return `it could not be compared: ${messageOf(thrown)}`;
  }
}

/** The digest of the tree that a layer's blob makes now. */
async function freshDigest(
  context: CheckContext,
  want: Wanted,
  what: string,
  signal: AbortSignal,
): Promise<Digest> {
  const { layout, unpacker } = context;
  const scratch = temporaryPath(layout, "check");
  try {
    await mkdir(scratch, { mode: 0o755 });
    const { source } = want;
    const { part } = want.request;
    await unpackLayer(unpacker, scratch, part?.kind === "file" ? asTar(part, source) : source, what, signal);
    return await digestTree(unpacker, scratch, "content", what, signal);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Files that nothing refers to: the next start removes them. */
async function checkLeftovers({ layout, catalog }: CheckContext, found: Found): Promise<void> {
  const layers = await readdir(layout.layers);
  const blobs = await readdir(layout.blobs);
  const images = await readdir(layout.images);
  // Listed first and looked up after: what is committed meanwhile is known by now.
  const folders = new Set([...catalog.layers.values()].map((layer) => layer.folder));
  const leftover = async (path: string): Promise<void> => {
    await found({ kind: "leftover", subject: path, problem: "nothing refers to it", images: [] });
  };
  for (const folder of layers) {
    if (!folders.has(folder) && !catalog.retired.has(folder)) await leftover(join(layout.layers, folder));
  }
  const known = new Set([...catalog.blobs.keys()].map(digestHex));
  for (const name of blobs) if (!known.has(name)) await leftover(join(layout.blobs, name));
  const sidecars = new Set([...catalog.images.keys()].map((id) => `${digestHex(id)}.json`));
  for (const name of images) if (!sidecars.has(name)) await leftover(join(layout.images, name));
}

function messageOf(thrown: unknown): string {
  if (thrown instanceof RuntimeError) return thrown.message;
  return thrown instanceof Error ? thrown.message : String(thrown);
}
