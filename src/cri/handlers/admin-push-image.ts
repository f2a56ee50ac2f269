import type { Images } from "../../sandbox/index.ts";
import { plainText, requiredText } from "../convert/fields.ts";
import { authFromProto } from "../convert/image.ts";
import type { PushImageRequest__Output } from "../types/berth/v1/PushImageRequest.ts";
import type { PushImageResponse } from "../types/berth/v1/PushImageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Sends an image to a registry. */
export function pushImage(images: Images): UnaryHandler<PushImageRequest__Output, PushImageResponse> {
  return async (request, { signal }) => {
    const source = requiredText("source", request.source);
    const target = plainText("target", request.target);
    return { reference: await images.push(source, target, authFromProto(request.auth), signal) };
  };
}
