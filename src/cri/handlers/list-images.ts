import type { Image } from "../../core/image.ts";
import type { Images } from "../../sandbox/index.ts";
import { imageToProto } from "../convert/image.ts";
import type { ImageFilter__Output } from "../types/runtime/v1/ImageFilter.ts";
import type { ListImagesRequest__Output } from "../types/runtime/v1/ListImagesRequest.ts";
import type { ListImagesResponse } from "../types/runtime/v1/ListImagesResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Lists images, or the one that the filter names. */
export function listImages(images: Images): UnaryHandler<ListImagesRequest__Output, ListImagesResponse> {
  return (request) => ({ images: selectImages(images, request.filter).map(imageToProto) });
}

/** All images, or the one that a filter names. */
export function selectImages(images: Images, filter: ImageFilter__Output | null): readonly Image[] {
  const wanted = filter?.image?.image ?? "";
  if (wanted === "") return images.list();
  const image = images.find(wanted);
  return image === undefined ? [] : [image];
}
