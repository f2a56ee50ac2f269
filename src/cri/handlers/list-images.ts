import type { Images } from "../../sandbox/index.ts";
import { imageToProto } from "../convert/image.ts";
import type { ListImagesRequest__Output } from "../types/runtime/v1/ListImagesRequest.ts";
import type { ListImagesResponse } from "../types/runtime/v1/ListImagesResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Lists images, or the one that the filter names. */
export function listImages(images: Images): UnaryHandler<ListImagesRequest__Output, ListImagesResponse> {
  return (request) => {
    const wanted = request.filter?.image?.image ?? "";
    if (wanted === "") return { images: images.list().map(imageToProto) };
    const image = images.find(wanted);
    return { images: image === undefined ? [] : [imageToProto(image)] };
  };
}
