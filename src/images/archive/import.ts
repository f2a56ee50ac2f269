import { rm } from "node:fs/promises";
import { parseDigest, type Digest } from "../../core/digest.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Image } from "../../core/image.ts";
import type { Job } from "../../core/job.ts";
import { readContents } from "../artifact.ts";
import { digestOf, type Committer } from "../commit.ts";
import { onDisk } from "../disk-errors.ts";
import { isObject, maxDocumentBytes, parseDocument, type Descriptor, type Document } from "../documents.ts";
import { temporaryPath, type Layout } from "../layout.ts";
import { choosePlatform, type Platform } from "../platform.ts";
import { formatReference, nameOf, parseReference } from "../reference.ts";
import { aborted } from "../registry/failure.ts";
import { isGzip, readDocument, spoolArchive, type Spool, type SpooledFile } from "./spool.ts";

/** An archive to bring in. */
export interface ImportRequest {
  /** The tar, not compressed. */
  readonly stream: AsyncIterable<Uint8Array>;
  /** Names the image where the archive holds exactly one; the archive's own names are used otherwise. */
  readonly reference?: string;
  readonly job: Job;
  readonly signal: AbortSignal;
}

/** What importing needs of the store. */
export interface ImportContext {
  readonly layout: Layout;
  readonly platform: Platform;
  readonly committer: Committer;
}

/** An image or artifact as the archive describes it. */
interface Archived {
  readonly manifestBytes: Buffer;
  readonly document: Manifest;
  readonly tags: readonly string[];
}

type Manifest = Exclude<Document, { readonly kind: "index" }>;

const maxIndexDepth = 3;
const maxImages = 1000;

/**
 * Brings in the images of an OCI layout (image-layout.md) or of `docker save`, old or new. The archive is spooled to
 * tmp first, since its index may come last; every file is found by its digest, so none can pose as another.
 */
export async function importArchive(context: ImportContext, request: ImportRequest): Promise<Image[]> {
  const { layout, platform } = context;
  const { job, signal } = request;
  const folder = temporaryPath(layout, "import");
  const name = request.reference ?? "the archive";
  // A wrong reference is told before anything is read.
  const wanted = request.reference === undefined ? undefined : parseReference(request.reference);
  try {
    const spool = await job.stage("read", () =>
      onDisk(layout.root, `import of ${name}`, () => spoolArchive(untilAborted(request), folder)),
    );
    const found = await readArchive(spool, platform, name);
    if (found.length === 0)
      throw new RuntimeError("invalid-argument", `${name} holds no image for this machine`);
    if (wanted !== undefined && found.length > 1) {
      throw new RuntimeError(
        "invalid-argument",
        `${name}: the archive holds ${found.length} images, not one`,
      );
    }
    const images: Image[] = [];
    for (const archived of found) {
      const tags =
        wanted === undefined ? archived.tags : wanted.digest === undefined ? [formatReference(wanted)] : [];
      images.push(
        await job.stage("layers", () => commitArchived(context, spool, { ...archived, tags }, name, signal)),
      );
    }
    return images;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function* untilAborted({ stream, signal, reference }: ImportRequest): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    if (signal.aborted) throw aborted(`import of ${reference ?? "an archive"}`, signal.reason);
    yield chunk;
  }
}

async function commitArchived(
  { committer }: ImportContext,
  spool: Spool,
  archived: Archived,
  archive: string,
  signal: AbortSignal,
): Promise<Image> {
  const name = archived.tags[0] ?? archive;
  const { document, manifestBytes, tags } = archived;
  const configFile = requireBlob(spool, document.config.digest, `config of ${name}`);
  const configBytes = await readDocument(configFile, maxDocumentBytes, `config of ${name}`);
  return await committer.commit(
    {
      name,
      manifestBytes,
      configBytes,
      ...readContents(document, configBytes, name),
      layers: document.layers,
      tags,
      repoDigests: [],
      queue: "local",
      source: (layer) => ({ kind: "file", path: requireBlob(spool, layer.digest, `layer of ${name}`).path }),
    },
    signal,
  );
}

async function readArchive(spool: Spool, platform: Platform, name: string): Promise<Archived[]> {
  const savedFile = spool.file("manifest.json");
  const saved = savedFile === undefined ? [] : await readSavedList(savedFile);
  const index = spool.file("index.json");
  if (index !== undefined) return await readLayoutIndex(spool, index, saved, platform);
  if (savedFile === undefined) {
    throw new RuntimeError(
      "invalid-argument",
      `${name} has neither index.json nor manifest.json: it is no image archive (berth import --rootfs takes a root file system)`,
    );
  }
  return await Promise.all(saved.map((entry) => readSaved(spool, entry)));
}

/** An entry of `docker save`'s manifest.json. */
interface SavedEntry {
  readonly config: string;
  readonly layers: readonly string[];
  readonly tags: readonly string[];
}

async function readSavedList(file: SpooledFile): Promise<SavedEntry[]> {
  const text = (await readDocument(file, maxDocumentBytes, "manifest.json")).toString("utf8");
  const list: unknown = parseList(text);
  if (!Array.isArray(list) || list.length > maxImages) throw bad("manifest.json is not a list of images");
  return list.map((entry: unknown) => {
    const strings = (value: unknown): string[] => {
      if (value === null || value === undefined) return [];
      if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
      throw bad("manifest.json does not name its layers");
    };
    if (!isObject(entry) || typeof entry["Config"] !== "string") throw bad("manifest.json names no config");
    return {
      config: entry["Config"],
      layers: strings(entry["Layers"]),
      tags: strings(entry["RepoTags"]).map(normalise),
    };
  });
}

function parseList(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `docker save` has no manifest of the image: one is made, with the digests of what is there. */
async function readSaved(spool: Spool, entry: SavedEntry): Promise<Archived> {
  const file = (name: string): SpooledFile => {
    const found = spool.file(name);
    if (found === undefined) throw bad(`${JSON.stringify(name.slice(0, 200))} is missing`);
    return found;
  };
  const config = describe(file(entry.config), "application/vnd.oci.image.config.v1+json");
  const layers: Descriptor[] = [];
  for (const name of entry.layers) {
    const layer = file(name);
    const suffix = (await isGzip(layer)) ? "+gzip" : "";
    layers.push(describe(layer, `application/vnd.oci.image.layer.v1.tar${suffix}`));
  }
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifestBytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  return { manifestBytes, document: { kind: "manifest", config, layers }, tags: entry.tags };
}

function describe(file: SpooledFile, mediaType: string): Descriptor {
  return { mediaType, digest: file.digest, size: file.size };
}

async function readLayoutIndex(
  spool: Spool,
  index: SpooledFile,
  saved: readonly SavedEntry[],
  platform: Platform,
): Promise<Archived[]> {
  const text = (await readDocument(index, maxDocumentBytes, "index.json")).toString("utf8");
  const document = parseDocument(text, "index.json");
  if (document.kind !== "index") throw bad("index.json is not an index");
  if (document.manifests.length > maxImages) throw bad(`index.json names more than ${maxImages} images`);
  const found = new Map<Digest, Archived>();
  for (const descriptor of document.manifests) {
    const archived = await followIndexes(spool, descriptor, platform);
    if (archived === undefined) continue;
    const config = archived.document.config.digest;
    const configPath = `blobs/sha256/${config.slice("sha256:".length)}`;
    const isImage = archived.document.kind === "manifest";
    const savedTags = saved
      .filter((entry) => isImage && entry.config === configPath)
      .flatMap((entry) => entry.tags);
    // As in the store: an image is known by its config, an artifact by its manifest.
    const id = isImage ? config : digestOf(archived.manifestBytes);
    const before = found.get(id)?.tags ?? [];
    const tags = [...new Set([...before, ...tagsOf(descriptor), ...savedTags])];
    found.set(id, { ...archived, tags });
  }
  return [...found.values()];
}

/** The name that tools put beside an image; a bare tag alone names no repository. */
function tagsOf({ annotations = {} }: Descriptor): string[] {
  const name =
    annotations["io.containerd.image.name"] ?? annotations["org.opencontainers.image.ref.name"] ?? "";
  return name.includes("/") || name.includes(":") ? [normalise(name)] : [];
}

function normalise(text: string): string {
  const reference = parseReference(text);
  return `${nameOf(reference)}:${reference.tag ?? "latest"}`;
}

/** An archive may hold only some of the platforms that its index names: undefined where ours is not among them. */
async function followIndexes(
  spool: Spool,
  start: Descriptor,
  platform: Platform,
): Promise<Archived | undefined> {
  let descriptor = start;
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const file = spool.blob(descriptor.digest);
    if (file === undefined) {
      if (depth > 0) return undefined;
      throw bad(`manifest ${descriptor.digest} is missing or damaged`);
    }
    const what = `manifest ${descriptor.digest}`;
    const manifestBytes = await readDocument(file, maxDocumentBytes, what);
    const document = parseDocument(manifestBytes.toString("utf8"), what, descriptor.mediaType);
    if (document.kind !== "index") return { document, manifestBytes, tags: [] };
    const chosen = choosePlatform(document.manifests, platform);
    if (chosen === undefined) return undefined;
    descriptor = chosen;
  }
  throw bad(`indexes nest deeper than ${maxIndexDepth}`);
}

function requireBlob(spool: Spool, digest: string, what: string): SpooledFile {
  const found = spool.blob(parseDigest(digest));
  if (found === undefined) throw bad(`${what}: ${digest} is missing or damaged`);
  return found;
}

function bad(why: string): RuntimeError {
  return new RuntimeError("invalid-argument", `the image archive cannot be read: ${why}`);
}
