import type { KeyObject } from "node:crypto";
import { parseDigest, type Digest } from "../../core/digest.ts";
import { hasCode, RuntimeError } from "../../core/errors.ts";
import { isObject, maxDocumentBytes, parseJson } from "../documents.ts";
import { digestOf } from "../commit.ts";
import { formatReference, type ImageRef } from "../reference.ts";
import { readManifest, readSmallBlob } from "../registry/blob.ts";
import { readSmall } from "../registry/http.ts";
import type { Session } from "../registry/session.ts";
import { bundleFlaw, bundleTypePrefix } from "./bundle.ts";
import { flawOf, type Expected } from "./cosign.ts";
import { notAccepted } from "./failure.ts";
import type { FoundRule, Rule, SignaturePolicy } from "./policy.ts";

/** An image whose signature is wanted. */
export interface SignatureQuestion {
  readonly session: Session;
  readonly reference: ImageRef;
  /** Digest of what the reference led to: the index where there is one. */
  readonly digest: Digest;
  readonly signal: AbortSignal;
}

/** Signatures of one image that are looked at, and signature documents that refer to it. */
const maxSignatures = 64;
const maxReferrers = 64;
const maxPayloadBytes = 64 * 1024;

const payloadMediaType = "application/vnd.dev.cosign.simplesigning.v1+json";
const artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json";
const emptyType = "application/vnd.oci.empty.v1+json";
const signatureAnnotation = "dev.cosignproject.cosign/signature";
const manifestTypes =
  "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const indexType = "application/vnd.oci.image.index.v1+json";

/** The policy's rule for an image; throws where that is to reject it, and where the policy cannot be understood. */
export async function ruleFor(policy: SignaturePolicy, reference: ImageRef): Promise<FoundRule> {
  const name = formatReference(reference);
  let found: FoundRule;
  try {
    found = await policy.ruleFor(reference);
  } catch (thrown) {
    if (!hasCode(thrown, "failed-precondition")) throw thrown;
    throw notAccepted(name, thrown.message, thrown.code);
  }
  if (found.rule.kind === "reject") throw notAccepted(name, `rejected by ${found.place}`);
  return found;
}

/**
 * Checks that an image has a cosign signature by a key of its rule: under cosign's tag, or among the referrers of its
 * digest. Throws with the kubelet's sentinel where it has none that counts; where the registry cannot say, its error.
 */
export async function requireSignature(
  rule: Rule & { readonly kind: "signed" },
  place: string,
  question: SignatureQuestion,
): Promise<string> {
  const { reference, digest } = question;
  const name = formatReference(reference);
  const expected: Expected = {
    digest,
    repository: rule.signedAs,
    tag: reference.digest === undefined ? reference.tag : undefined,
  };
  const keys = rule.keys.map(({ key }) => key);
  const flaws: string[] = [];
  try {
    for await (const found of signaturesOf(question)) {
      const { what } = found;
      const flaw =
        found.kind === "simple" ? flawOf(found, keys, expected) : flawOfBundle(found, keys, expected, rule);
      if (flaw === undefined) return what;
      flaws.push(`${what}: ${flaw}`);
      if (flaws.length === maxSignatures) break;
    }
  } catch (thrown) {
    // Documents that are not what they should be: no matter of the registry's being there.
    if (!isMalformed(thrown)) throw thrown;
    flaws.push(thrown.message);
  }
  const by = rule.keys.map(({ path }) => path).join(" or ");
  const seen = flaws.length === 0 ? "it has no signature" : `no signature of it counts (${flaws.join("; ")})`;
  throw notAccepted(name, `${seen}; ${place} wants one by ${by}`);
}

function flawOfBundle(
  { payload }: Signature,
  keys: readonly KeyObject[],
  { digest }: Expected,
  { bundles }: Rule & { readonly kind: "signed" },
): string | undefined {
  const flaw = bundleFlaw(payload, keys, digest);
  if (flaw !== undefined || bundles === "count") return flaw;
  return "it is a bundle, which names no repository: it counts where the policy says bundles = true";
}

function isMalformed(thrown: unknown): thrown is RuntimeError {
  return hasCode(thrown, "failed-precondition") || hasCode(thrown, "invalid-argument");
}

interface SimpleSignature {
  readonly kind: "simple";
  /** Says in errors which one it is. */
  readonly what: string;
  readonly payload: Buffer;
  readonly signature: string;
}

interface BundledSignature {
  readonly kind: "bundle";
  readonly what: string;
  readonly payload: Buffer;
}

type Signature = SimpleSignature | BundledSignature;

async function* signaturesOf(question: SignatureQuestion): AsyncGenerator<Signature> {
  const tag = `${question.digest.replace(":", "-")}.sig`;
  const tagged = await documentAt(question, tag, manifestTypes);
  if (tagged !== undefined) yield* payloadsOf(question, tagged, tag);
  for (const digest of await referrersOf(question)) {
    const document = await documentAt(question, digest, manifestTypes);
    if (document !== undefined) yield* payloadsOf(question, document, digest);
  }
}

type Json = Readonly<Record<string, unknown>>;

/** A manifest or an index as JSON; undefined where the repository has none. */
async function documentAt(
  { session, reference, signal }: SignatureQuestion,
  target: string,
  accept: string,
): Promise<Json | undefined> {
  const what = `signature ${target} of ${formatReference(reference)}`;
  try {
    const isTag = !target.includes(":");
    const { bytes } = await readManifest(session, target, {
      what,
      accept,
      needs: isTag ? "resolve" : "pull",
      maxBytes: maxDocumentBytes,
      signal,
    });
    if (!isTag && digestOf(bytes) !== target)
      throw new RuntimeError("failed-precondition", `${what}: wrong digest`);
    return parseJson(bytes.toString("utf8"), what);
  } catch (thrown) {
    if (hasCode(thrown, "not-found")) return undefined;
    throw thrown;
  }
}

/** What the layers of a signature's manifest hold: payloads, each with the signature in its annotation, or bundles. */
async function* payloadsOf(
  { session, reference, signal }: SignatureQuestion,
  { layers }: Json,
  from: string,
): AsyncGenerator<Signature> {
  const list: unknown[] = Array.isArray(layers) ? layers : [];
  for (const [index, layer] of list.slice(0, maxSignatures).entries()) {
    if (!isObject(layer)) continue;
    const { mediaType, digest, size, annotations } = layer;
    const isBundle = typeof mediaType === "string" && mediaType.startsWith(bundleTypePrefix);
    if (!isBundle && mediaType !== payloadMediaType) continue;
    const signature = isObject(annotations) ? annotations[signatureAnnotation] : undefined;
    const isSmall =
      typeof size === "number" && Number.isSafeInteger(size) && size > 0 && size <= maxPayloadBytes;
    const what = `${from}[${index}]`;
    if ((!isBundle && typeof signature !== "string") || typeof digest !== "string" || !isSmall) continue;
    const request = { session, digest: parseDigest(digest), size, signal };
    const payload = await readSmallBlob({
      ...request,
      what: `signature ${what} of ${formatReference(reference)}`,
    });
    yield isBundle
      ? { kind: "bundle", what, payload }
      : { kind: "simple", what, payload, signature: String(signature) };
  }
}

/** In a fallback's index cosign 3 has the type of a bundle's empty config in the place of its own. */
function isSignatureType(type: unknown): boolean {
  return (
    typeof type === "string" &&
    (type === artifactType || type === emptyType || type.startsWith(bundleTypePrefix))
  );
}

/** Digests of the signatures among what refers to an image (distribution spec, listing referrers, and its fallback). */
async function referrersOf(question: SignatureQuestion): Promise<readonly Digest[]> {
  const { session, reference, digest, signal } = question;
  const what = `referrers of ${formatReference(reference)}`;
  let index: Json | undefined;
  try {
    const { answer } = await session.get(`referrers/${digest}`, {
      what,
      needs: "resolve",
      headers: { accept: indexType },
      signal,
    });
    index = parseJson((await readSmall(answer, maxDocumentBytes, what)).toString("utf8"), what);
  } catch (thrown) {
    // A registry without the API has an index under a tag, if anything.
    if (!hasCode(thrown, "not-found") && !isMalformed(thrown)) throw thrown;
    index = await documentAt(question, digest.replace(":", "-"), indexType);
  }
  const manifests: unknown[] = Array.isArray(index?.["manifests"]) ? index["manifests"] : [];
  return manifests
    .filter((entry): entry is Json => isObject(entry) && isSignatureType(entry["artifactType"]))
    .slice(0, maxReferrers)
    .map((entry) => parseDigest(String(entry["digest"])));
}
