import { RuntimeError } from "./errors.ts";

declare const digestBrand: unique symbol;

/** `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md#digests); made by {@link parseDigest} only. */
export type Digest = string & { readonly [digestBrand]: true };

const pattern = /^sha256:[0-9a-f]{64}$/;

/** Reads a digest before it is compared or becomes a path (CVE-2024-3727); throws `invalid-argument`. */
export function parseDigest(text: string): Digest {
  if (!pattern.test(text)) {
    throw new RuntimeError("invalid-argument", `not a sha256 digest: ${JSON.stringify(text.slice(0, 200))}`);
  }
  return text as Digest;
}

/** True where `text` is a digest this project accepts. */
export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** The 64 hex digits without the algorithm. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}
