import type { Images, WritableLayers } from "../../sandbox/index.ts";
import { layerToProto } from "../convert/stats.ts";
import type { ImageFsInfoRequest__Output } from "../types/runtime/v1/ImageFsInfoRequest.ts";
import type { ImageFsInfoResponse } from "../types/runtime/v1/ImageFsInfoResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** What images, and what containers' writable layers, take of the file system that both lie on. */
export function imageFsInfo(
  images: Images,
  layers: WritableLayers,
): UnaryHandler<ImageFsInfoRequest__Output, ImageFsInfoResponse> {
  return () => {
    const { timestamp, mountpoint, usedBytes, inodesUsed } = images.filesystemUsage();
    return {
      image_filesystems: [
        {
          timestamp: String(timestamp),
          fs_id: { mountpoint },
          used_bytes: { value: String(usedBytes) },
          inodes_used: { value: String(inodesUsed) },
        },
      ],
      container_filesystems: [layerToProto(layers.total(), mountpoint)],
    };
  };
}
