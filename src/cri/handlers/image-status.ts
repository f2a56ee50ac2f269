import type { Images, Inspection } from "../../sandbox/index.ts";
import { required, requiredText } from "../convert/fields.ts";
import { imageToProto } from "../convert/image.ts";
import type { ImageStatusRequest__Output } from "../types/runtime/v1/ImageStatusRequest.ts";
import type { ImageStatusResponse } from "../types/runtime/v1/ImageStatusResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** The status of one image; an absent image is no error but an empty answer. `verbose` adds what helps to debug it. */
export function imageStatus(
  images: Images,
  inspection: Inspection,
): UnaryHandler<ImageStatusRequest__Output, ImageStatusResponse> {
  return (request) => {
    const image = images.find(requiredText("image.image", required("image", request.image).image));
    if (image === undefined) return { image: null, info: {} };
    return { image: imageToProto(image), info: request.verbose ? { info: inspection.image(image) } : {} };
  };
}
