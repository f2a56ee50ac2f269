import { createHash } from "node:crypto";
import { digestHex, parseDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import { extendedHeader, padding, tarEnd, tarHeader } from "./archive/tar-blocks.ts";
import {
  isLayerType,
  noProcess,
  parseConfig,
  parseJson,
  type Descriptor,
  type Document,
  type ImageConfig,
} from "./documents.ts";

/** How an artifact's blob becomes files: a tar is unpacked, anything else is the content of one file. */
export type ArtifactPart =
  { readonly kind: "tar" } | { readonly kind: "file"; readonly path: string; readonly sizeBytes: number };

/** Content that came by an image manifest and is no container image (OCI image spec, artifacts-guidance.md). */
export interface Artifact {
  /** Its `artifactType`, or the media type of its config. */
  readonly type: string;
  /** As the manifest lists its layers. */
  readonly parts: readonly ArtifactPart[];
}

/** What a manifest and its config come to. */
export interface ManifestContents {
  readonly config: ImageConfig;
  /** Absent for a container image. Its blobs are known by their digests alone: `config.diffIds` are made up of those. */
  readonly artifact?: Artifact;
}

/** Where the name of a file is found (OCI image spec, annotations.md). */
const titleAnnotation = "org.opencontainers.image.title";

/** What overlay and the kernel take: one name of a path, and all of it. */
const maxNameBytes = 255;
const maxPathBytes = 4000;

/**
 * Reads what there is to unpack: the config's diff ids, or the parts of an artifact. An image config that says nothing of
 * a root file system, as in KEP-4639's example, describes an artifact of tars.
 */
export function readContents(
  document: Exclude<Document, { readonly kind: "index" }>,
  configBytes: Buffer,
  name: string,
): ManifestContents {
  const what = `config of ${name}`;
  if (document.kind === "artifact") return artifactContents(document.artifactType, document.layers, name);
  const text = configBytes.toString("utf8");
  if ("rootfs" in parseJson(text, what)) return { config: parseConfig(text, what) };
  return artifactContents(document.config.mediaType, document.layers, name);
}

function artifactContents(type: string, layers: readonly Descriptor[], name: string): ManifestContents {
  const parts = layers.map((layer) => artifactPart(layer, name));
  const diffIds = layers.map(({ digest }, index) => partKey(parts[index], digest));
  return {
    config: { diffIds, platform: { os: "", architecture: "" }, process: noProcess },
    artifact: { type, parts },
  };
}

function artifactPart(layer: Descriptor, name: string): ArtifactPart {
  if (isLayerType(layer.mediaType)) return { kind: "tar" };
  const title = layer.annotations?.[titleAnnotation] ?? "";
  const path = title === "" ? `sha256-${digestHex(layer.digest)}` : title;
  const fault = faultOf(path);
  if (fault === undefined) return { kind: "file", path, sizeBytes: layer.size };
  const shown = JSON.stringify(path.slice(0, 200));
  throw new RuntimeError(
    "failed-precondition",
    `artifact ${name}: layer ${layer.digest} is named ${shown}, ${fault}`,
  );
}

/** The name comes from whoever made the artifact: it must lie in the artifact's folder and mean nothing but itself. */
function faultOf(path: string): string | undefined {
  if (Buffer.byteLength(path) > maxPathBytes) return `which is longer than ${maxPathBytes} bytes`;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\x00-\x1f\x7f]/.test(path)) return "which has control characters";
  if (path.startsWith("/")) return "which is not a relative path";
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return "which is not a plain path";
    if (part.startsWith(".wh.")) return "which stands for a deleted file in a layer";
    if (Buffer.byteLength(part) > maxNameBytes) return `which has a part of more than ${maxNameBytes} bytes`;
  }
  return undefined;
}

/** Stands for a diff id: equal for equal trees, and never that of a tar, since it is a digest of other text. */
function partKey(part: ArtifactPart | undefined, digest: Digest): Digest {
  const text = JSON.stringify(["artifact", part?.kind === "file" ? part.path : null, digest]);
  return parseDigest(`sha256:${createHash("sha256").update(text).digest("hex")}`);
}

/** The blob of one file as a tar for the unpacker, which makes the file where nothing leads out of its folder. */
export async function* fileAsTar(
  { path, sizeBytes }: Extract<ArtifactPart, { readonly kind: "file" }>,
  blob: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  // Two bytes that no compressed stream begins with, whatever the name is.
  const name = `./${path}`;
  yield Buffer.concat([extendedHeader(name), tarHeader({ name, type: "0", size: sizeBytes, mode: 0o644 })]);
  let left = sizeBytes;
  for await (const chunk of blob) {
    left -= chunk.length;
    yield chunk;
  }
  if (left !== 0) {
    throw new RuntimeError(
      "failed-precondition",
      `file ${path} of an artifact is not ${sizeBytes} bytes long`,
    );
  }
  yield padding(sizeBytes);
  yield tarEnd();
}
