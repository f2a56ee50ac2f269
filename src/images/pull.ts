import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Job, PartProgress } from "../core/job.ts";
import { readContents } from "./artifact.ts";
import { keepBlobsSetting, type BlobId } from "./blobs.ts";
import { digestOf, type Committer, type ImageDraft } from "./commit.ts";
import {
  acceptedTypes,
  maxDocumentBytes,
  parseDocument,
  type Descriptor,
  type Document,
} from "./documents.ts";
import { choosePlatform, formatPlatform, type Platform } from "./platform.ts";
import { createProgress, type Progress } from "./progress.ts";
import { formatReference, nameOf, parseReference, type ImageRef } from "./reference.ts";
import { reachRepository, type Access, type RegistryContext } from "./registry/access.ts";
import { leaveAll, readBlob, readManifest, readSmallBlob } from "./registry/blob.ts";
import type { RegistryAuth } from "./registry/credentials.ts";
import type { Endpoint } from "./registry/endpoint.ts";
import { openSession, type Session } from "./registry/session.ts";
import { requireSignature, ruleFor } from "./signatures/check.ts";
import type { SignaturePolicy } from "./signatures/policy.ts";
import type { LayerSource } from "./unpack.ts";

/** What to pull, and as whom. */
export interface PullRequest {
  readonly reference: string;
  readonly auth?: RegistryAuth;
  /** The machine's own where absent. */
  readonly platform?: Platform;
  readonly job: Job;
  readonly signal: AbortSignal;
  /** Given once what tells how far the layers are. */
  readonly onLayers?: (look: () => readonly PartProgress[]) => void;
}

/** The image that a pull brought, or found to be here already. */
export interface PullResult {
  readonly image: Image;
  /** Repository and the digest that the reference led to, such as `docker.io/library/busybox@sha256:…`. */
  readonly reference: string;
}

/** What pulls share. */
export interface PullContext extends RegistryContext {
  readonly platform: Platform;
  readonly committer: Committer;
  readonly signatures: SignaturePolicy;
  readonly local: LocalDocuments;
}

/** The bytes of a manifest or config that is here, verified; undefined where it is not. */
export type LocalDocuments = (digest: Digest) => Promise<Buffer | undefined>;

interface ResolvedManifest {
  readonly bytes: Buffer;
  readonly document: Exclude<Document, { readonly kind: "index" }>;
  /** Digest of what the reference names: the index where there is one. */
  readonly topDigest: Digest;
}

const maxIndexDepth = 3;
const accept = acceptedTypes.join(", ");

/**
 * Pulls an image. The registry is asked for the manifest in every case, with this request's credentials, even where
 * all is here already (KEP-2535); layers are then shared with what is here and with other pulls.
 */
export async function pullImage(context: PullContext, request: PullRequest): Promise<PullResult> {
  const { job, signal } = request;
  const reference = parseReference(request.reference);
  const name = formatReference(reference);
  const access = {
    ...(request.auth && { auth: request.auth }),
    note: (text: string) => {
      job.note(text);
    },
  };
  const { rule, place } = await ruleFor(context.signatures, reference);
  const session = openSession(await reachRepository(context, access, reference));
  const platform = request.platform ?? context.platform;

  const manifest = await job.stage("manifest", () =>
    resolveManifest(session, reference, platform, context.local, signal),
  );
  if (rule.kind === "signed") {
    await job.stage("signature", async () => {
      const question = { session, reference, digest: manifest.topDigest, signal };
      job.note(`signed by ${await requireSignature(rule, place, question)}`);
    });
  }
  const { config } = manifest.document;
  const configBytes = await job.stage(
    "config",
    async () =>
      (await context.local(config.digest)) ??
      (await readConfig(session, config, `config of ${name}`, signal)),
  );
  const contents = readContents(manifest.document, configBytes, name);
  requirePlatform(contents.config.platform, platform, name);
  const progress = createProgress("from", manifest.document.layers);
  request.onLayers?.(progress.parts);
  const repoDigest = `${nameOf(reference)}@${manifest.topDigest}`;
  const draft: ImageDraft = {
    name,
    manifestBytes: manifest.bytes,
    configBytes,
    ...contents,
    layers: manifest.document.layers,
    tags: reference.digest === undefined ? [name] : [],
    repoDigests: [repoDigest],
    queue: reference.registry,
    source: (layer) => layerSource(session, layer, name, progress),
    landed: ({ digest }) => {
      progress.landed(digest);
    },
  };
  const image = await job.stage("layers", async () => {
    const committed = await context.committer.commit(draft, signal);
    for (const line of progress.summary()) job.note(line);
    return committed;
  });
  return { image, reference: repoDigest };
}

const silent: Access = { note: () => undefined };

/** Fetches an image's manifest again by its digest, or its config where the manifest says how large that is. */
export async function fetchDocumentAgain(
  context: PullContext,
  image: Image,
  document: "manifest" | BlobId,
  signal: AbortSignal,
): Promise<Buffer> {
  const digest = document === "manifest" ? image.manifest : document.digest;
  const what = `document ${digest} of image ${image.tags[0] ?? image.id}`;
  let last = new RuntimeError("failed-precondition", `${what}: no registry is known that has it`);
  for (const repoDigest of image.repoDigests) {
    const session = openSession(await reachRepository(context, silent, parseReference(repoDigest)));
    try {
      if (document !== "manifest") return await readConfig(session, document, what, signal);
      const options = { what, accept, needs: "pull", maxBytes: maxDocumentBytes, signal } as const;
      return (await readDocument(session, digest, digest, options)).bytes;
    } catch (thrown) {
      if (!(thrown instanceof RuntimeError) || signal.aborted) throw thrown;
      last = thrown;
    }
  }
  throw last;
}

/**
 * Streams a layer that was here before from the repositories that its image came from, with the node's own credentials
 * unless `authFor` has others for a registry. Throws `failed-precondition` where the image came from no registry, else
 * what the last of them answered.
 */
export async function* fetchAgain(
  context: RegistryContext,
  image: Image,
  layer: Descriptor,
  signal: AbortSignal,
  authFor: (registry: string) => RegistryAuth | undefined = () => undefined,
): AsyncGenerator<Uint8Array> {
  const what = `layer ${layer.digest} of image ${image.tags[0] ?? image.id}`;
  let last = new RuntimeError(
    "failed-precondition",
    `${what}: its compressed form is not kept, and no registry is known that has it; with ` +
      `${keepBlobsSetting} = "all" it is kept from the next pull on`,
  );
  for (const repoDigest of [...image.repoDigests, ...(image.origins ?? [])]) {
    const origin = parseReference(repoDigest);
    const auth = authFor(origin.registry);
    const access = { ...silent, ...(auth && { auth }) };
    const session = openSession(await reachRepository(context, access, origin));
    let started = false;
    try {
      for await (const chunk of readBlob({ session, ...layer, what, signal })) {
        started = true;
        yield chunk;
      }
      return;
    } catch (thrown) {
      // What was handed out cannot be taken back: another repository would begin anew.
      if (started || !(thrown instanceof RuntimeError)) throw thrown;
      last = thrown;
    }
  }
  throw last;
}

/** A layer's bytes; once more from other hosts where what came did not have its digest. */
function layerSource(
  session: Session,
  layer: Descriptor,
  name: string,
  progress: Progress,
): LayerSource & { kind: "stream" } {
  const what = `layer ${layer.digest} of ${name}`;
  const senders = new Set<Endpoint>();
  const onProgress = (bytes: number, from: Endpoint): void => {
    senders.add(from);
    progress.moved(layer.digest, bytes, from.host);
  };
  return {
    kind: "stream",
    open: async function* (signal) {
      progress.started(layer.digest);
      yield* readBlob({ session, ...layer, what, signal, onProgress });
      // These are the right bytes: what fails from here on fails whoever sends them.
      senders.clear();
      progress.transferred(layer.digest);
    },
    isWorthAnother: (thrown) => {
      const isWorth = leaveAll(session, senders, thrown);
      senders.clear();
      return isWorth;
    },
  };
}

/** The empty config of artifacts is known by its digest (OCI image spec, manifest.md); not every registry has it. */
async function readConfig(
  session: Session,
  config: BlobId,
  what: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const empty = Buffer.from("{}");
  if (config.digest === digestOf(empty)) return empty;
  return readSmallBlob({ session, ...config, what, signal });
}

/** Follows indexes down to the manifest for the platform; every document fetched by digest must have it. */
async function resolveManifest(
  session: Session,
  reference: ImageRef,
  platform: Platform,
  local: LocalDocuments,
  signal: AbortSignal,
): Promise<ResolvedManifest> {
  const name = formatReference(reference);
  const what = `manifest of ${name}`;
  let target: string = reference.digest ?? reference.tag ?? "latest";
  let expected = reference.digest;
  let topDigest: Digest | undefined;
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const needs = expected === undefined ? "resolve" : "pull";
    const { bytes, digest, document } = await readDocument(session, target, expected, {
      what,
      accept,
      needs,
      maxBytes: maxDocumentBytes,
      signal,
    });
    topDigest ??= digest;
    if (document.kind !== "index") return { bytes, document, topDigest };
    const chosen = choosePlatform(document.manifests, platform);
    if (chosen === undefined) throw noPlatform(name, platform, document.manifests);
    const here = await local(chosen.digest);
    if (here !== undefined) {
      const found = parseDocument(here.toString("utf8"), what);
      if (found.kind === "manifest") return { bytes: here, document: found, topDigest };
    }
    expected = chosen.digest;
    target = chosen.digest;
  }
  throw new RuntimeError("failed-precondition", `${what}: indexes nest deeper than ${maxIndexDepth}`);
}

/** A manifest or index whose digest is right, from another host where one sends what is none. */
async function readDocument(
  session: Session,
  target: string,
  expected: Digest | undefined,
  options: Parameters<typeof readManifest>[2],
): Promise<{ readonly bytes: Buffer; readonly digest: Digest; readonly document: Document }> {
  const { what } = options;
  for (;;) {
    const { from, bytes, mediaType } = await readManifest(session, target, options);
    try {
      const digest = digestOf(bytes);
      if (expected !== undefined && digest !== expected) {
        const text = `${what}: ${from.host} sent ${digest} when asked for ${expected}`;
        throw new RuntimeError("failed-precondition", text);
      }
      return { bytes, digest, document: parseDocument(bytes.toString("utf8"), what, mediaType) };
    } catch (thrown) {
      if (!leaveAll(session, [from], thrown)) throw thrown;
    }
  }
}

/** An image without an index says in its config what it runs on; an empty answer is taken. */
function requirePlatform(offered: Platform, wanted: Platform, name: string): void {
  if (offered.architecture === "" || choosePlatform([{ platform: offered }], wanted) !== undefined) return;
  throw noPlatform(name, wanted, [{ platform: offered }]);
}

function noPlatform(
  name: string,
  wanted: Platform,
  offers: readonly { readonly platform?: Platform }[],
): RuntimeError {
  const list = offers.map(({ platform }) => (platform === undefined ? "unnamed" : formatPlatform(platform)));
  const text = `image ${name}: nothing for ${formatPlatform(wanted)}, only for ${list.slice(0, 30).join(", ")}`;
  return new RuntimeError("not-found", text);
}
