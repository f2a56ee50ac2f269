import type { Images } from "../../sandbox/index.ts";
import { imageToProto } from "../convert/image.ts";
import type { StreamHandler } from "../server-stream.ts";
import type { Image } from "../types/runtime/v1/Image.ts";
import type { StreamImagesRequest__Output } from "../types/runtime/v1/StreamImagesRequest.ts";
import { selectImages } from "./list-images.ts";

/** Streams the list of images as it is when the call comes. */
export function streamImages(images: Images): StreamHandler<StreamImagesRequest__Output, Image> {
  return function* (request) {
    for (const one of selectImages(images, request.filter)) yield imageToProto(one);
  };
}
