import type { Images } from "../../sandbox/index.ts";
import { required, requiredText } from "../convert/fields.ts";
import type { RemoveImageRequest__Output } from "../types/runtime/v1/RemoveImageRequest.ts";
import type { RemoveImageResponse } from "../types/runtime/v1/RemoveImageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Removes an image with all its names; an absent one is no error. */
export function removeImage(images: Images): UnaryHandler<RemoveImageRequest__Output, RemoveImageResponse> {
  return async (request, { signal }) => {
    await images.remove(requiredText("image.image", required("image", request.image).image), signal);
    return {};
  };
}
