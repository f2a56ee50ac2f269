import { isDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import { formatReference, nameOf, parseReference } from "./reference.ts";

/** Digits that an abbreviated id needs; crictl shows 13. */
const minPrefixLength = 4;

/**
 * Finds an image by id (with or without `sha256:`), by tag, by repository digest or by a unique prefix of its id, in
 * this order. Throws `invalid-argument` for text that can be none of these, or a prefix of several ids.
 */
export function resolveImage(images: ReadonlyMap<Digest, Image>, text: string): Image | undefined {
  const id = text.startsWith("sha256:") ? text : `sha256:${text}`;
  if (isDigest(id)) {
    return images.get(id) ?? [...images.values()].find((image) => image.manifest === id);
  }
  return byReference(images, text) ?? byPrefix(images, text);
}

function byReference(images: ReadonlyMap<Digest, Image>, text: string): Image | undefined {
  if (/^sha256:[0-9a-f]*$/.test(text)) return undefined;
  const reference = parseReference(text);
  const wanted = formatReference(reference);
  const prefix = `${nameOf(reference)}@`;
  for (const image of images.values()) {
    if (image.tags.includes(wanted) || image.repoDigests.includes(wanted)) return image;
    const sameName = image.repoDigests.some((known) => known.startsWith(prefix));
    if (reference.digest !== undefined && reference.digest === image.manifest && sameName) return image;
  }
  return undefined;
}

function byPrefix(images: ReadonlyMap<Digest, Image>, text: string): Image | undefined {
  const hex = text.startsWith("sha256:") ? text.slice("sha256:".length) : text;
  if (hex.length < minPrefixLength || !/^[0-9a-f]+$/.test(hex)) return undefined;
  const found = [...images.values()].filter((image) => image.id.startsWith(`sha256:${hex}`));
  if (found.length > 1) {
    throw new RuntimeError(
      "invalid-argument",
      `image id ${text} is ambiguous: ${found.length} images begin so`,
    );
  }
  return found[0];
}
