import { createReadStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Layer } from "../core/image.ts";
import { fileAsTar, type ArtifactPart } from "./artifact.ts";
import { keepBlob, type BlobId } from "./blobs.ts";
import type { Catalog, Lease } from "./catalog.ts";
import { onDisk } from "./disk-errors.ts";
import { discard, shortName, syncFolder, temporaryPath, writeSynced, type Layout } from "./layout.ts";
import type { Limiter } from "./limiter.ts";
import { aborted } from "./registry/failure.ts";
import { unpackLayer, type LayerSource, type UnpackerSettings, type UnpackReport } from "./unpack.ts";

/** Written beside a layer's tree: enough to know the layer again without the store. */
export interface LayerSidecar {
  readonly layer: Layer;
  /** Folders that hide the lower layers', since Node cannot read overlay's attribute. */
  readonly opaque: readonly string[];
  /** Digest of the tree's metadata as it was committed; absent in layers of older stores. */
  readonly treeDigest?: Digest;
}

/** A layer that is wanted. */
export interface LayerRequest {
  readonly diffId: Digest;
  readonly source: LayerSource;
  /** What the blob of an artifact becomes; its source verifies it. Absent for an image's, a tar with this diff id. */
  readonly part?: ArtifactPart;
  /** Keeps the bytes of a stream as this blob; absent keeps the tree alone. */
  readonly keep?: BlobId;
  /** Begins the text of errors, such as `layer sha256:… of registry/name:tag`. */
  readonly what: string;
  /** Work for one key is limited: the registry's host, or `local`. */
  readonly queue: string;
  readonly signal: AbortSignal;
}

/** Fetches and commits layers, each once however many ask for it. */
export interface LayerStore {
  /** Unpacks a layer whose diff id only shows then; the lease keeps it. One that is here already stays as it is. */
  take(source: LayerSource, what: string, lease: Lease, signal: AbortSignal): Promise<Layer>;
  /** Fetches a layer that is here again, and puts the fresh tree in its place. */
  replace(request: LayerRequest): Promise<Layer>;
  /** The layer, from the store or fetched now. Its caller holds a lease on the diff id. */
  obtain(request: LayerRequest): Promise<Layer>;
}

interface Flight {
  readonly controller: AbortController;
  readonly done: Promise<Layer>;
  waiters: number;
}

export function openLayers(
  layout: Layout,
  catalog: Catalog,
  unpacker: UnpackerSettings,
  limiter: Limiter,
): LayerStore {
  const flights = new Map<Digest, Flight>();

  const start = (request: LayerRequest): Flight => {
    const controller = new AbortController();
    const { diffId } = request;
    const work = async (): Promise<Layer> => {
      const release = await limiter.acquire(request.queue, controller.signal);
      try {
        const layer = await fetchUntilGood({ layout, catalog, unpacker }, request, controller.signal);
        catalog.addLayer(layer);
        return layer;
      } catch (thrown) {
        throw controller.signal.aborted ? aborted(request.what, thrown) : thrown;
      } finally {
        release();
        if (flights.get(diffId) === flight) flights.delete(diffId);
      }
    };
    const flight: Flight = { controller, waiters: 0, done: Promise.resolve().then(work) };
    flights.set(diffId, flight);
    return flight;
  };

  /** Waits for a flight; the last one to leave ends it, and sees it gone before leaving. */
  const join = async (flight: Flight, request: LayerRequest): Promise<Layer> => {
    flight.waiters += 1;
    try {
      return await untilAborted(flight.done, request);
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        if (flights.get(request.diffId) === flight) flights.delete(request.diffId);
        flight.controller.abort(new Error("nobody waits for it any more"));
        await flight.done.catch(() => undefined);
      }
    }
  };

  return {
    take: (source, what, lease, signal) =>
      takeLayer({ layout, catalog, unpacker }, source, what, lease, signal),
    replace: async (request) => {
      const release = await limiter.acquire(request.queue, request.signal);
      try {
        const layer = await fetchUntilGood({ layout, catalog, unpacker }, request, request.signal);
        await catalog.replaceLayer(layer);
        return layer;
      } finally {
        release();
      }
    },
    obtain: async (request) => {
      for (;;) {
        if (request.signal.aborted) throw aborted(request.what, request.signal.reason);
        const found = catalog.layers.get(request.diffId);
        if (found !== undefined) return found;
        const other = flights.get(request.diffId);
        if (other === undefined) return join(start(request), request);
        try {
          return await join(other, request);
        } catch {
          // Another's credentials, registry or cancellation: we try with our own, unless it was ours to cancel.
        }
      }
    },
  };
}

async function untilAborted<T>(work: Promise<T>, { signal, what }: LayerRequest): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = (): void => {
    reject(aborted(what, signal.reason));
  };
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

interface FetchContext {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly unpacker: UnpackerSettings;
}

/** Fetches a layer again where the bytes that failed came from a mirror and another host is left. */
async function fetchUntilGood(
  context: FetchContext,
  request: LayerRequest,
  signal: AbortSignal,
): Promise<Layer> {
  const { source } = request;
  for (;;) {
    try {
      return await fetchLayer(context, request, signal);
    } catch (thrown) {
      const isWorthAnother = source.kind === "stream" && source.isWorthAnother?.(thrown) === true;
      if (signal.aborted || !isWorthAnother) throw thrown;
    }
  }
}

/** Unpacks into tmp, then puts tree and sidecar in place by one rename: a layer is committed or invisible. */
async function fetchLayer(
  { layout, catalog, unpacker }: FetchContext,
  { diffId, source, part, keep, what }: LayerRequest,
  signal: AbortSignal,
): Promise<Layer> {
  const temporary = temporaryPath(layout, "layer");
  await using keeper =
    keep === undefined || source.kind === "file" || catalog.hasBlob(keep.digest)
      ? undefined
      : keepBlob(layout, keep);
  const taken: LayerSource =
    keeper === undefined || source.kind === "file"
      ? source
      : { kind: "stream", open: (ended) => keeper.tee(source.open(ended)) };
  try {
    return await onDisk(layout.root, what, async () => {
      await mkdir(join(temporary, "fs"), { recursive: true, mode: 0o755 });
      // The unpacker syncs what it wrote.
      const tar = part?.kind === "file" ? asTar(part, taken) : taken;
      const report = await unpackLayer(unpacker, join(temporary, "fs"), tar, what, signal);
      if (part === undefined && report.diffId !== diffId) {
        const text = `${what}: uncompressed it is ${report.diffId}, the image's config says ${diffId}`;
        throw new RuntimeError("failed-precondition", text);
      }
      if (keep !== undefined && keeper !== undefined) {
        await keeper.commit();
        catalog.addBlob(keep.digest, keep.size);
      }
      return await commitLayer(layout, temporary, diffId, report);
    });
  } catch (thrown) {
    await rm(temporary, { recursive: true, force: true });
    throw thrown;
  }
}

/** The one file of an artifact's part, as a layer of it. */
export function asTar(part: Parameters<typeof fileAsTar>[0], source: LayerSource): LayerSource {
  const open = (signal: AbortSignal): AsyncIterable<Uint8Array> =>
    source.kind === "file" ? createReadStream(source.path) : source.open(signal);
  return { kind: "stream", open: (signal) => fileAsTar(part, open(signal)) };
}

async function takeLayer(
  { layout, catalog, unpacker }: FetchContext,
  source: LayerSource,
  what: string,
  lease: Lease,
  signal: AbortSignal,
): Promise<Layer> {
  const temporary = temporaryPath(layout, "layer");
  try {
    return await onDisk(layout.root, what, async () => {
      await mkdir(join(temporary, "fs"), { recursive: true, mode: 0o755 });
      const report = await unpackLayer(unpacker, join(temporary, "fs"), source, what, signal);
      lease.add([report.diffId]);
      const known = catalog.layers.get(report.diffId);
      if (known !== undefined) return known;
      const layer = await commitLayer(layout, temporary, report.diffId, report);
      // Another may have brought it while this one was put in place; start removes the second folder.
      const other = catalog.layers.get(report.diffId);
      if (other !== undefined) await discard(layout, join(layout.layers, layer.folder));
      else catalog.addLayer(layer);
      return other ?? layer;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function commitLayer(
  layout: Layout,
  temporary: string,
  diffId: Digest,
  report: UnpackReport,
): Promise<Layer> {
  const folder = shortName();
  const { usedBytes: sizeBytes, inodes, implicitFolders } = report;
  const layer: Layer = {
    ...{ diffId, folder, sizeBytes, inodes },
    ...(implicitFolders > 0 && { implicitFolders }),
  };
  const sidecar: LayerSidecar = { layer, opaque: report.opaque, treeDigest: report.treeDigest };
  await writeSynced(join(temporary, "layer.json"), JSON.stringify(sidecar));
  await syncFolder(temporary);
  await rename(temporary, join(layout.layers, folder));
  await syncFolder(layout.layers);
  return layer;
}
