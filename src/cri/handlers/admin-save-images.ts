import type { Archives } from "../../sandbox/index.ts";
import type { ByteHandler } from "../byte-stream.ts";
import { invalid, requiredText } from "../convert/fields.ts";
import type { SaveImagesRequest__Output } from "../types/berth/v1/SaveImagesRequest.ts";

/** Writes images as an archive. */
export function saveImages(archives: Archives): ByteHandler<SaveImagesRequest__Output> {
  return async ({ images }, sink, { signal }) => {
    if (images.length === 0) invalid("images", "empty");
    const names = images.map((name, index) => requiredText(`images[${index}]`, name));
    await archives.save(names, sink, signal);
  };
}
