import type { Images } from "../../sandbox/index.ts";
import { required, requiredText } from "../convert/fields.ts";
import { authFromProto } from "../convert/image.ts";
import type { PullImageRequest__Output } from "../types/runtime/v1/PullImageRequest.ts";
import type { PullImageResponse } from "../types/runtime/v1/PullImageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Pulls an image; the answer is its id. */
export function pullImage(images: Images): UnaryHandler<PullImageRequest__Output, PullImageResponse> {
  return async (request, { signal }) => {
    const reference = requiredText("image.image", required("image", request.image).image);
    const image = await images.pull(reference, authFromProto(request.auth), signal);
    return { image_ref: image.id };
  };
}
