import { verify, type KeyObject } from "node:crypto";
import { isDigest, type Digest } from "../../core/digest.ts";
import { isObject, parseJson } from "../documents.ts";
import { formatReference, nameOf, parseReference } from "../reference.ts";

/** What a signature must say. */
export interface Expected {
  /** Digest of what the image's name leads to: of the index where there is one, as `cosign verify` has it. */
  readonly digest: Digest;
  /** The repository that must be named. */
  readonly repository: string;
  /** The tag by which the image is pulled, if by one. */
  readonly tag: string | undefined;
}

/** A signature as it is found: what was signed, and how. */
export interface FoundSignature {
  readonly payload: Buffer;
  /** Base64. */
  readonly signature: string;
}

const payloadType = "cosign container image signature";
const maxSignatureLength = 16 * 1024;

/**
 * Why a signature does not count; undefined where it does: it is made with one of the keys over exactly this payload,
 * and the payload names the image. @see https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
 */
export function flawOf(
  found: FoundSignature,
  keys: readonly KeyObject[],
  expected: Expected,
): string | undefined {
  const { payload, signature } = found;
  if (signature.length > maxSignatureLength || !isBase64(signature)) return "its signature is not base64";
  const bytes = Buffer.from(signature, "base64");
  // Nothing of the payload is looked at before it is known whose it is.
  if (!keys.some((key) => isMadeWith(key, payload, bytes))) return "it is made with another key";
  return payloadFlaw(payload, expected);
}

/** True for base64 as signatures have it: Node's decoder takes anything. */
export function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

/** Whether a key's owner signed exactly these bytes. */
export function isMadeWith(key: KeyObject, payload: Buffer, signature: Buffer): boolean {
  try {
    return verify(key.asymmetricKeyType === "ed25519" ? null : "sha256", payload, key, signature);
  } catch {
    return false;
  }
}

function payloadFlaw(payload: Buffer, { digest, repository, tag }: Expected): string | undefined {
  let critical: unknown;
  try {
    ({ critical } = parseJson(payload.toString("utf8"), "payload"));
  } catch {
    return "what it signs is no JSON object";
  }
  if (!isObject(critical) || critical["type"] !== payloadType) return `what it signs is no ${payloadType}`;
  const { image, identity } = critical;
  const signedDigest = isObject(image) ? image["docker-manifest-digest"] : undefined;
  if (signedDigest !== digest) return `it is for ${shownDigest(signedDigest)}, not for ${digest}`;
  const name = isObject(identity) ? identity["docker-reference"] : undefined;
  return identityFlaw(typeof name === "string" ? name : "", repository, tag);
}

/** cosign names the repository; who wants to, names a tag too, and then it has to be that one. */
function identityFlaw(name: string, repository: string, tag: string | undefined): string | undefined {
  const shown = JSON.stringify(name.slice(0, maxShownLength));
  let signed;
  try {
    signed = parseReference(name);
  } catch {
    return `it names no image but ${shown}`;
  }
  const hasTag = /:[^/]*$/.test(name.split("@", 1)[0] ?? "");
  const isOther = nameOf(signed) !== repository || (hasTag && tag !== undefined && signed.tag !== tag);
  return isOther
    ? `it is for ${hasTag ? formatReference(signed) : nameOf(signed)}, not for ${repository}`
    : undefined;
}

const maxShownLength = 300;

function shownDigest(value: unknown): string {
  return typeof value === "string" && isDigest(value) ? value : "no digest";
}
