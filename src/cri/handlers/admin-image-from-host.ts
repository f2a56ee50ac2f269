import type { Images } from "../../sandbox/index.ts";
import { absolutePath, invalid, requiredText } from "../convert/fields.ts";
import type { ImageFromHostRequest__Output } from "../types/berth/v1/ImageFromHostRequest.ts";
import type { ImportImageResponse } from "../types/berth/v1/ImportImageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Makes an image of the host's own binaries. */
export function imageFromHost(
  images: Images,
): UnaryHandler<ImageFromHostRequest__Output, ImportImageResponse> {
  return async (request, { signal }) => {
    const reference = requiredText("reference", request.reference);
    if (request.binaries.length === 0) invalid("binaries", "empty");
    const binaries = request.binaries.map((path, index) => absolutePath(`binaries[${index}]`, path));
    const { id, tags } = await images.fromHost(reference, binaries, signal);
    return { images: [{ id, references: [...tags] }] };
  };
}
