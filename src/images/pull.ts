import type { Image } from "../core/image.ts";
import type { Job, PartProgress } from "../core/job.ts";
import { readContents } from "./artifact.ts";
import type { Committer, ImageDraft } from "./commit.ts";
import type { Descriptor } from "./documents.ts";
import { noPlatform, readConfig, resolveManifest, type LocalDocuments } from "./fetch-documents.ts";
import { choosePlatform, type Platform } from "./platform.ts";
import { createProgress, type Progress } from "./progress.ts";
import { formatReference, nameOf, parseReference } from "./reference.ts";
import { reachRepository, type RegistryContext } from "./registry/access.ts";
import { leaveAll, readBlob } from "./registry/blob.ts";
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

/** An image without an index says in its config what it runs on; an empty answer is taken. */
function requirePlatform(offered: Platform, wanted: Platform, name: string): void {
  if (offered.architecture === "" || choosePlatform([{ platform: offered }], wanted) !== undefined) return;
  throw noPlatform(name, wanted, [{ platform: offered }]);
}
