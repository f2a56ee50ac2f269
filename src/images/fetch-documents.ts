import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { BlobId } from "./blobs.ts";
import { digestOf } from "./commit.ts";
import { acceptedTypes, maxDocumentBytes, parseDocument, type Document } from "./documents.ts";
import { choosePlatform, formatPlatform, type Platform } from "./platform.ts";
import { formatReference, type ImageRef } from "./reference.ts";
import { leaveAll, readManifest, readSmallBlob } from "./registry/blob.ts";
import type { Session } from "./registry/session.ts";

/** The bytes of a manifest or config that is here, verified; undefined where it is not. */
export type LocalDocuments = (digest: Digest) => Promise<Buffer | undefined>;

/** The manifest that a reference led to. */
export interface ResolvedManifest {
  readonly bytes: Buffer;
  readonly document: Exclude<Document, { readonly kind: "index" }>;
  /** Digest of what the reference names: the index where there is one. */
  readonly topDigest: Digest;
}

const maxIndexDepth = 3;
/** The Accept header of a request for a manifest or an index. */
export const accept = acceptedTypes.join(", ");

/** Follows indexes down to the manifest for the platform; every document fetched by digest must have it. */
export async function resolveManifest(
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
export async function readDocument(
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

/** The empty config of artifacts is known by its digest (OCI image spec, manifest.md); not every registry has it. */
export async function readConfig(
  session: Session,
  config: BlobId,
  what: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const empty = Buffer.from("{}");
  if (config.digest === digestOf(empty)) return empty;
  return readSmallBlob({ session, ...config, what, signal });
}

/** The error for an image that has nothing for a platform. */
export function noPlatform(
  name: string,
  wanted: Platform,
  offers: readonly { readonly platform?: Platform }[],
): RuntimeError {
  const list = offers.map(({ platform }) => (platform === undefined ? "unnamed" : formatPlatform(platform)));
  const text = `image ${name}: nothing for ${formatPlatform(wanted)}, only for ${list.slice(0, 30).join(", ")}`;
  return new RuntimeError("not-found", text);
}
