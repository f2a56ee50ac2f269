import { parseDigest, type Digest } from "../core/digest.ts";
import { createHash } from "node:crypto";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Artifact } from "./artifact.ts";
import { adoptBlob, type BlobPolicy } from "./blobs.ts";
import type { Catalog, Lease } from "./catalog.ts";
import { completeLayers } from "./completion.ts";
import { onDisk } from "./disk-errors.ts";
import type { Descriptor, ImageConfig } from "./documents.ts";
import { blobPath, writeDurably, type Layout } from "./layout.ts";
import type { LayerStore } from "./layers.ts";
import type { LayerSource, UnpackerSettings } from "./unpack.ts";

/** An image that is described in full and whose layers are still to be had. */
export interface ImageDraft {
  /** Names it in errors. */
  readonly name: string;
  readonly manifestBytes: Uint8Array;
  readonly configBytes: Uint8Array;
  readonly config: ImageConfig;
  /** Set for an artifact: the config's diff ids then stand for its parts. */
  readonly artifact?: Artifact;
  /** As the manifest lists them, lowest first. */
  readonly layers: readonly Descriptor[];
  readonly tags: readonly string[];
  readonly repoDigests: readonly string[];
  /** Where layers of it can be fetched again; see Image. */
  readonly origins?: readonly string[];
  /** Limits work on layers together with others of the same key. */
  readonly queue: string;
  source(layer: Descriptor): LayerSource;
  /** Told of every layer that is in the store. */
  readonly landed?: (layer: Descriptor) => void;
}

/** Brings an image in: its layers in parallel, then its documents, then the records that make it visible. */
export interface Committer {
  commit(draft: ImageDraft, signal: AbortSignal): Promise<Image>;
}

export function createCommitter(
  layout: Layout,
  catalog: Catalog,
  layers: LayerStore,
  unpacker: UnpackerSettings,
  kept: BlobPolicy,
): Committer {
  const putBlob = async (digest: Digest, bytes: Uint8Array): Promise<void> => {
    if (catalog.hasBlob(digest)) return;
    await writeDurably(layout, blobPath(layout, digest), bytes);
    catalog.addBlob(digest, bytes.length);
  };

  /** Files of tmp came from no registry: they are kept in either case, since nothing could send them again. */
  const keepFiles = async (draft: ImageDraft): Promise<void> => {
    for (const layer of draft.layers) {
      const source = draft.source(layer);
      if (source.kind !== "file" || catalog.hasBlob(layer.digest)) continue;
      await adoptBlob(layout, source.path, layer.digest);
      catalog.addBlob(layer.digest, layer.size);
    }
  };

  /** Fetches all; the first failure ends the others, and all have ended when this does. */
  const obtainAll = async (draft: ImageDraft, signal: AbortSignal): Promise<void> => {
    const failed = new AbortController();
    const work = draft.layers.map(async (descriptor, index) => {
      const diffId = draft.config.diffIds[index];
      if (diffId === undefined) throw mismatch(draft);
      const part = draft.artifact?.parts[index];
      await layers.obtain({
        diffId,
        source: draft.source(descriptor),
        ...(part && { part }),
        ...(kept === "all" && { keep: descriptor }),
        what: `layer ${descriptor.digest} of ${draft.name}`,
        queue: draft.queue,
        signal: AbortSignal.any([signal, failed.signal]),
      });
      draft.landed?.(descriptor);
    });
    const first: { thrown?: unknown } = {};
    await Promise.all(
      work.map((one) =>
        one.catch((thrown: unknown) => {
          first.thrown ??= thrown;
          failed.abort(new Error("another layer failed"));
        }),
      ),
    );
    if (first.thrown !== undefined) throw first.thrown as Error;
  };

  /** An image's layers, and the one that completes them where they need it. */
  const complete = async (
    draft: ImageDraft,
    id: Digest,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<readonly Digest[]> => {
    const { diffIds } = draft.config;
    const known = catalog.images.get(id)?.layers;
    if (known !== undefined && isWhole(catalog, known, diffIds)) {
      lease.add(known);
      return known;
    }
    const what = `layers of ${draft.name}`;
    const context = { layout, catalog, unpacker, layers };
    const completion = await completeLayers(context, diffIds, lease, what, signal);
    return completion === undefined ? diffIds : [...diffIds, completion];
  };

  const commit = async (draft: ImageDraft, signal: AbortSignal): Promise<Image> => {
    if (draft.layers.length !== draft.config.diffIds.length) throw mismatch(draft);
    const { artifact } = draft;
    const config = digestOf(draft.configBytes);
    const manifest = digestOf(draft.manifestBytes);
    // The configs of artifacts tell nothing of them: most are the same empty one.
    const id = artifact === undefined ? config : manifest;
    const lease = catalog.lease();
    const blobs = draft.layers.map(({ digest }) => digest);
    lease.add([config, manifest, ...draft.config.diffIds, ...blobs]);
    try {
      await obtainAll(draft, signal);
      const all = await complete(draft, id, lease, signal);
      await onDisk(layout.root, `image ${draft.name}`, async () => {
        await putBlob(manifest, draft.manifestBytes);
        await putBlob(config, draft.configBytes);
        await keepFiles(draft);
      });
      const downloaded = draft.layers.reduce((sum, layer) => sum + layer.size, 0);
      return await catalog.putImage({
        id,
        tags: draft.tags,
        repoDigests: draft.repoDigests,
        manifest,
        layers: all,
        blobs,
        ...(draft.origins && { origins: draft.origins }),
        process: draft.config.process,
        ...(artifact && { artifactType: artifact.type, config }),
        sizeBytes: downloaded + draft.manifestBytes.length + draft.configBytes.length,
        pinned: false,
      });
    } catch (thrown) {
      lease.release();
      await catalog.collect();
      throw thrown;
    } finally {
      lease.release();
    }
  };

  return { commit };
}

/** True where what is known of an image is these layers, with or without one that completes them, and all are here. */
function isWhole({ layers }: Catalog, known: readonly Digest[], diffIds: readonly Digest[]): boolean {
  return (
    known.length <= diffIds.length + 1 &&
    diffIds.every((diffId, index) => known[index] === diffId) &&
    known.every((diffId) => layers.has(diffId))
  );
}

/** The digest of bytes that are here. */
export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);
}

function mismatch(draft: ImageDraft): RuntimeError {
  const { layers, config, name } = draft;
  const text = `image ${name}: its manifest has ${layers.length} layers, its config ${config.diffIds.length}`;
  return new RuntimeError("failed-precondition", text);
}
