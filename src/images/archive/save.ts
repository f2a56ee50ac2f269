import { createHash } from "node:crypto";
import type { Digest } from "../../core/digest.ts";
import { digestHex } from "../../core/digest.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Image } from "../../core/image.ts";
import type { BlobId, Blobs, ImageDocuments } from "../blobs.ts";
import type { Descriptor } from "../documents.ts";
import { parseReference } from "../reference.ts";
import { extendedHeader, padding, tarEnd, tarHeader } from "./tar-blocks.ts";

/** An image to save, under names of its own. */
export interface SavedImage {
  readonly image: Image;
  /** Empty for an image that was named by its id. */
  readonly tags: readonly string[];
  readonly documents: ImageDocuments;
}

/**
 * Writes images as one tar that is both an OCI image layout and what `docker save` writes since Docker 25: index.json
 * and manifest.json name the same blobs, byte for byte those of the registry, so every digest stays. Streamed: layers
 * that are not kept come from the registry while the archive is read.
 */
export async function* saveArchive(
  images: readonly SavedImage[],
  blobs: Blobs,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  yield* file("oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  yield* file("index.json", Buffer.from(JSON.stringify(indexOf(images))));
  yield* file("manifest.json", Buffer.from(JSON.stringify(images.filter(isContainerImage).map(dockerEntry))));
  const written = new Set<Digest>();
  const once = ({ digest }: BlobId): boolean => !written.has(digest) && written.add(digest).has(digest);
  for (const { image, documents } of images) {
    const { manifest, config, manifestBytes, configBytes, layers } = documents;
    if (once(manifest)) yield* file(blobName(manifest), manifestBytes);
    if (once(config)) yield* file(blobName(config), configBytes);
    for (const layer of layers) {
      if (once(layer)) yield* layerFile(image, layer, blobs, signal);
    }
  }
  yield tarEnd();
}

function* file(name: string, bytes: Uint8Array): Generator<Uint8Array> {
  yield header(name, bytes.length);
  yield bytes;
  yield padding(bytes.length);
}

function header(name: string, size: number): Buffer {
  return Buffer.concat([extendedHeader(name), tarHeader({ name, type: "0", size, mode: 0o644 })]);
}

/** A layer's bytes; what does not have the digest that the manifest names ends the archive with an error. */
async function* layerFile(
  image: Image,
  layer: Descriptor,
  blobs: Blobs,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  yield header(blobName(layer), layer.size);
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of blobs.read(image, layer, signal)) {
    size += chunk.length;
    if (size > layer.size) break;
    hash.update(chunk);
    yield chunk;
  }
  if (size !== layer.size || `sha256:${hash.digest("hex")}` !== layer.digest) {
    const text = `layer ${layer.digest} of image ${image.id}: its kept file is damaged; see berth fsck`;
    throw new RuntimeError("internal", text);
  }
  yield padding(layer.size);
}

function blobName({ digest }: BlobId): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

/** An entry for each name, annotated as containerd and skopeo read it (OCI image spec, annotations.md). */
function indexOf(images: readonly SavedImage[]): object {
  const manifests = images.flatMap(({ tags, documents }) => {
    const { mediaType, digest, size } = documents.manifest;
    if (tags.length === 0) return [{ mediaType, digest, size }];
    return tags.map((tag) => ({
      mediaType,
      digest,
      size,
      annotations: {
        "io.containerd.image.name": tag,
        "org.opencontainers.image.ref.name": parseReference(tag).tag ?? "latest",
      },
    }));
  });
  return { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
}

/** Docker knows nothing of artifacts. */
function isContainerImage({ image }: SavedImage): boolean {
  return image.artifactType === undefined;
}

function dockerEntry({ tags, documents }: SavedImage): object {
  return { Config: blobName(documents.config), RepoTags: tags, Layers: documents.layers.map(blobName) };
}
