import type { Images } from "../../sandbox/index.ts";
import { requiredText } from "../convert/fields.ts";
import type { TagImageRequest__Output } from "../types/berth/v1/TagImageRequest.ts";
import type { TagImageResponse } from "../types/berth/v1/TagImageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Gives an image a further name. */
export function tagImage(images: Images): UnaryHandler<TagImageRequest__Output, TagImageResponse> {
  return async (request, { signal }) => {
    const source = requiredText("source", request.source);
    const { id, tags } = await images.tag(source, requiredText("target", request.target), signal);
    return { id, references: [...tags] };
  };
}
