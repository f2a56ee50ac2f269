import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Job } from "../core/job.ts";
import { digestOf, type Committer } from "./commit.ts";
import {
  acceptedTypes,
  maxDocumentBytes,
  parseConfig,
  parseDocument,
  type Descriptor,
  type Document,
} from "./documents.ts";
import { choosePlatform, formatPlatform, type Platform } from "./platform.ts";
import { createProgress, type LayerProgress } from "./progress.ts";
import { formatReference, nameOf, parseReference, type ImageRef } from "./reference.ts";
import { readBlob, readManifest, readSmallBlob } from "./registry/blob.ts";
import { readCredentials, type RegistryAuth } from "./registry/credentials.ts";
import type { HostPolicy } from "./registry/hosts.ts";
import type { Http } from "./registry/http.ts";
import { openSession, type Session } from "./registry/session.ts";

/** What to pull, and as whom. */
export interface PullRequest {
  readonly reference: string;
  readonly auth?: RegistryAuth;
  /** The machine's own where absent. */
  readonly platform?: Platform;
  readonly job: Job;
  readonly signal: AbortSignal;
  /** Told whenever a layer got further. */
  readonly onProgress?: (layers: readonly LayerProgress[]) => void;
}

/** The image that a pull brought, or found to be here already. */
export interface PullResult {
  readonly image: Image;
  /** Repository and the digest that the reference led to, such as `docker.io/library/busybox@sha256:…`. */
  readonly reference: string;
}

/** What pulls share. */
export interface PullContext {
  readonly http: Http;
  readonly policy: HostPolicy;
  readonly platform: Platform;
  readonly committer: Committer;
}

interface ResolvedManifest {
  readonly bytes: Buffer;
  readonly document: Document & { readonly kind: "manifest" };
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
  const credentials = readCredentials(request.auth, reference.registry);
  if (request.auth?.serverAddress && credentials.kind === "none") {
    job.note(`no credentials for ${reference.registry}: those given are for another server or empty`);
  }
  const { registry, repository } = reference;
  const session = openSession({ ...context, registry, repository, credentials });
  const platform = request.platform ?? context.platform;

  const manifest = await job.stage("manifest", () => resolveManifest(session, reference, platform, signal));
  const configBytes = await job.stage("config", () =>
    readSmallBlob({ session, ...manifest.document.config, what: `config of ${name}`, signal }),
  );
  const config = parseConfig(configBytes.toString("utf8"), `config of ${name}`);
  requirePlatform(config.platform, platform, name);
  const progress = createProgress(manifest.document.layers, session.host, request.onProgress);
  const repoDigest = `${nameOf(reference)}@${manifest.topDigest}`;
  const image = await job.stage("layers", () =>
    context.committer.commit(
      {
        name,
        manifestBytes: manifest.bytes,
        configBytes,
        config,
        layers: manifest.document.layers,
        tags: reference.digest === undefined ? [name] : [],
        repoDigests: [repoDigest],
        queue: session.host,
        source: (layer) => ({
          kind: "stream",
          open: (layerSignal) => download(session, layer, name, progress, layerSignal),
        }),
      },
      signal,
    ),
  );
  for (const line of progress.summary()) job.note(line);
  return { image, reference: repoDigest };
}

async function* download(
  session: Session,
  layer: Descriptor,
  name: string,
  progress: ReturnType<typeof createProgress>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const onProgress = (bytes: number): void => {
    progress.received(layer.digest, bytes);
  };
  onProgress(0);
  yield* readBlob({ session, ...layer, what: `layer ${layer.digest} of ${name}`, signal, onProgress });
  progress.finished(layer.digest);
}

/** Follows indexes down to the manifest for the platform; every document fetched by digest must have it. */
async function resolveManifest(
  session: Session,
  reference: ImageRef,
  platform: Platform,
  signal: AbortSignal,
): Promise<ResolvedManifest> {
  const name = formatReference(reference);
  const what = `manifest of ${name}`;
  let target: string = reference.digest ?? reference.tag ?? "latest";
  let expected = reference.digest;
  let topDigest: Digest | undefined;
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const { bytes, mediaType } = await readManifest(session, target, {
      what,
      accept,
      maxBytes: maxDocumentBytes,
      signal,
    });
    const digest = digestOf(bytes);
    if (expected !== undefined && digest !== expected) {
      throw new RuntimeError(
        "failed-precondition",
        `${what}: ${session.host} sent ${digest} when asked for ${expected}`,
      );
    }
    topDigest ??= digest;
    const document = parseDocument(bytes.toString("utf8"), what, mediaType);
    if (document.kind === "manifest") return { bytes, document, topDigest };
    const chosen = choosePlatform(document.manifests, platform);
    if (chosen === undefined) throw noPlatform(name, platform, document.manifests);
    expected = chosen.digest;
    target = chosen.digest;
  }
  throw new RuntimeError("failed-precondition", `${what}: indexes nest deeper than ${maxIndexDepth}`);
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
