import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Job, PartProgress } from "../core/job.ts";
import { readDocuments, type ImageDocuments, type KeptBlob, type KeptBlobs } from "./blobs.ts";
import { maxDocumentBytes, type Descriptor } from "./documents.ts";
import type { Layout } from "./layout.ts";
import type { Limiter } from "./limiter.ts";
import { createProgress, type Progress } from "./progress.ts";
import { fetchAgain } from "./fetch-again.ts";
import { formatReference, nameOf, parseReference, type ImageRef } from "./reference.ts";
import { reachRepository, type Access, type RegistryContext } from "./registry/access.ts";
import type { RegistryAuth } from "./registry/credentials.ts";
import type { HostSession } from "./registry/host-session.ts";
import { discard } from "./registry/http.ts";
import { maxAttempts } from "./registry/retry.ts";
import { openPushSession } from "./registry/session.ts";
import { hasBlob, mountBlob, uploadBlob } from "./registry/upload.ts";

/** What to push, where to, and as whom. */
export interface PushRequest {
  /** A name or an id of an image that is here. */
  readonly source: string;
  /** Where to, by tag; the source's own name where absent. */
  readonly target?: string;
  readonly auth?: RegistryAuth;
  readonly job: Job;
  readonly signal: AbortSignal;
  /** Given once what tells how far the layers are. */
  readonly onLayers?: (look: () => readonly PartProgress[]) => void;
}

/** What pushes share. */
export interface PushContext extends RegistryContext {
  readonly kept: KeptBlobs;
  readonly limiter: Limiter;
  /** Blobs up to this size go in one piece, larger ones in pieces of it. */
  readonly chunkBytes: number;
  readonly layout: Layout;
}

/** Repositories that are asked to give one layer over. */
const maxNeighbours = 4;

/**
 * Pushes an image: what the repository lacks of its blobs, then its manifest, byte for byte as it was pulled. A layer
 * comes from where it is: mounted from another repository of that registry, else from the compressed blobs that are
 * kept here, else from the registry that the image came from. Gives repository and digest.
 */
export async function pushImage(context: PushContext, image: Image, request: PushRequest): Promise<string> {
  const { job, signal } = request;
  const target = readTarget(image, request.target ?? request.source);
  const name = formatReference(target);
  const access: Access = {
    ...(request.auth && { auth: request.auth }),
    note: (text) => {
      job.note(text);
    },
  };
  const documents = await readDocuments(context.layout, image);
  const push: Push = {
    context,
    image,
    access,
    session: openPushSession(await reachRepository(context, access, target)),
    target,
    progress: createProgress("to", documents.layers),
    job,
    name,
    signal,
  };
  request.onLayers?.(push.progress.parts);
  await job.stage("layers", async () => {
    await pushAll(push, documents.layers);
    for (const line of push.progress.summary()) job.note(line);
  });
  await job.stage("config", () => pushConfig(push, documents));
  await job.stage("manifest", () => putManifest(push, documents));
  return `${nameOf(target)}@${image.manifest}`;
}

interface Push {
  readonly context: PushContext;
  readonly image: Image;
  readonly access: Access;
  readonly session: HostSession;
  readonly target: ImageRef;
  readonly progress: Progress;
  readonly job: Job;
  readonly name: string;
  readonly signal: AbortSignal;
}

function readTarget(image: Image, text: string): ImageRef {
  if (/^(?:sha256:)?[0-9a-f]{4,64}$/.test(text)) {
    throw new RuntimeError("invalid-argument", `${text} is an id: say which name to push to`);
  }
  const target = parseReference(text);
  if (target.digest !== undefined && target.digest !== image.manifest) {
    const why = `its manifest here is ${image.manifest}`;
    throw new RuntimeError("failed-precondition", `image ${text} cannot be pushed by this digest: ${why}`);
  }
  return target;
}

/** Repositories of the target's registry that the image was pulled from: layers may be mounted from there. */
function neighboursOf(image: Image, target: ImageRef): readonly ImageRef[] {
  return [...image.repoDigests, ...(image.origins ?? [])]
    .map(parseReference)
    .filter((one) => one.registry === target.registry && one.repository !== target.repository)
    .slice(0, maxNeighbours);
}

/** Brings all layers; the first failure ends the others, and all have ended when this does. */
async function pushAll(push: Push, layers: readonly Descriptor[]): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([push.signal, failed.signal]);
  const distinct = [...new Map(layers.map((layer) => [layer.digest, layer])).values()];
  const first: { thrown?: unknown } = {};
  await Promise.all(
    distinct.map(async (layer) => {
      try {
        const release = await push.context.limiter.acquire(`push ${push.target.registry}`, signal);
        try {
          await pushLayer({ ...push, signal }, layer);
        } finally {
          release();
        }
      } catch (thrown) {
        first.thrown ??= thrown;
        failed.abort(new Error("another layer failed"));
      }
    }),
  );
  if (first.thrown !== undefined) throw first.thrown as Error;
}

async function pushLayer(push: Push, layer: Descriptor): Promise<void> {
  const { session, progress, target, signal } = push;
  const what = `layer ${layer.digest} to ${push.name}`;
  const request = { session, what, signal };
  if (await hasBlob({ ...request, blob: layer })) {
    progress.landed(layer.digest);
    return;
  }
  for (const neighbour of neighboursOf(push.image, target)) {
    if ((await mountBlob(request, layer.digest, neighbour.repository)) !== "mounted") continue;
    push.job.note(`layer ${layer.digest}: mounted from ${nameOf(neighbour)}`);
    progress.landed(layer.digest);
    return;
  }
  const blob = (await push.context.kept.find(layer.digest)) ?? fromOrigin(push, layer);
  progress.started(layer.digest);
  progress.moved(layer.digest, 0, session.endpoint.host);
  const onProgress = (sent: number): void => {
    progress.moved(layer.digest, sent, session.endpoint.host);
    if (sent === layer.size) progress.transferred(layer.digest);
  };
  await uploadBlob({ ...request, blob, chunkBytes: push.context.chunkBytes, onProgress });
  progress.landed(layer.digest);
}

/** A layer as a registry has it that the image was pulled from. */
function fromOrigin({ context, image, access, target, signal }: Push, layer: Descriptor): KeptBlob {
  // What was given is for the target's registry.
  const authFor = (registry: string): RegistryAuth | undefined =>
    registry === target.registry ? access.auth : undefined;
  return {
    digest: layer.digest,
    sizeBytes: layer.size,
    read: (offset) => skipped(fetchAgain(context, image, layer, signal, authFor), offset),
  };
}

/** Read from the beginning again, so that the digest is checked once more. */
async function* skipped(bytes: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array> {
  let skip = offset;
  for await (const chunk of bytes) {
    const part = chunk.subarray(Math.min(skip, chunk.length));
    skip -= chunk.length - part.length;
    if (part.length > 0) yield part;
  }
}

async function pushConfig(push: Push, { config, configBytes }: ImageDocuments): Promise<void> {
  const { session, signal } = push;
  const what = `config ${config.digest} to ${push.name}`;
  const read = async function* (offset: number): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(configBytes.subarray(offset));
  };
  const blob: KeptBlob = { digest: config.digest, sizeBytes: configBytes.length, read };
  if (await hasBlob({ session, what, signal, blob })) return;
  await uploadBlob({ session, what, signal, blob, chunkBytes: maxDocumentBytes });
}

/** The last step: from here on the name leads to the image. */
async function putManifest(push: Push, { manifest, manifestBytes }: ImageDocuments): Promise<void> {
  const { session, target, signal } = push;
  const { digest } = manifest;
  const what = `manifest of ${push.name}`;
  const { answer, sender } = await session.send(`manifests/${target.digest ?? target.tag ?? "latest"}`, {
    what,
    method: "PUT",
    headers: { "content-type": manifest.mediaType },
    body: {
      sizeBytes: manifestBytes.length,
      open: async function* () {
        yield await Promise.resolve(manifestBytes);
      },
    },
    attempts: maxAttempts,
    signal,
  });
  discard(answer);
  const stored = answer.headers["docker-content-digest"];
  if (typeof stored === "string" && stored !== digest) {
    throw new RuntimeError(
      "failed-precondition",
      `${what}: ${sender.host} stored it as ${stored}, not ${digest}`,
    );
  }
}
