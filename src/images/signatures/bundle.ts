import type { KeyObject } from "node:crypto";
import { digestHex, type Digest } from "../../core/digest.ts";
import { isObject, parseJson } from "../documents.ts";
import { isBase64, isMadeWith } from "./cosign.ts";

/** Media types of Sigstore's bundles, whose version follows. */
export const bundleTypePrefix = "application/vnd.dev.sigstore.bundle.";

const statementTypes = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
const statementMediaType = "application/vnd.in-toto+json";
const signaturePredicate = "https://sigstore.dev/cosign/sign/v1";
const maxSignatures = 16;
const maxSubjects = 64;

type Json = Readonly<Record<string, unknown>>;

/**
 * Why the bundle of a newer cosign does not count as the signature of an image; undefined where it does: its envelope is
 * signed with one of the keys, and the statement in it is cosign's of a signature and has the image's digest among its
 * subjects. It names no repository.
 *
 * @see https://docs.sigstore.dev/about/bundle/
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
 */
export function bundleFlaw(bundle: Buffer, keys: readonly KeyObject[], digest: Digest): string | undefined {
  let envelope: unknown;
  try {
    envelope = parseJson(bundle.toString("utf8"), "bundle")["dsseEnvelope"];
  } catch {
    return "it is no JSON object";
  }
  if (!isObject(envelope)) return "it has no signed statement";
  const { payload, payloadType, signatures } = envelope;
  if (typeof payload !== "string" || !isBase64(payload)) return "its statement is not base64";
  if (payloadType !== statementMediaType) return `it signs no ${statementMediaType}`;
  const list: unknown[] = Array.isArray(signatures) ? signatures.slice(0, maxSignatures) : [];
  const statement = Buffer.from(payload, "base64");
  const signed = preAuthenticationEncoding(statementMediaType, statement);
  const isOurs = list.some((one) => {
    const signature = isObject(one) ? one["sig"] : undefined;
    if (typeof signature !== "string" || !isBase64(signature)) return false;
    const bytes = Buffer.from(signature, "base64");
    return keys.some((key) => isMadeWith(key, signed, bytes));
  });
  // Nothing of the statement is looked at before it is known whose it is.
  return isOurs ? statementFlaw(statement, digest) : "it is made with another key";
}

/** What a DSSE signature is made over: type and body with their lengths, so that neither can pass for the other. */
function preAuthenticationEncoding(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `), body]);
}

function statementFlaw(bytes: Buffer, digest: Digest): string | undefined {
  let statement: Json;
  try {
    statement = parseJson(bytes.toString("utf8"), "statement");
  } catch {
    return "what it signs is no JSON object";
  }
  if (!statementTypes.includes(String(statement["_type"]))) return "what it signs is no in-toto statement";
  if (statement["predicateType"] !== signaturePredicate) return "it is an attestation, not a signature";
  const { subject } = statement;
  const subjects: unknown[] = Array.isArray(subject) ? subject.slice(0, maxSubjects) : [];
  const isFor = subjects.some(
    (one) => isObject(one) && isObject(one["digest"]) && one["digest"]["sha256"] === digestHex(digest),
  );
  return isFor ? undefined : `it is not for ${digest}`;
}
