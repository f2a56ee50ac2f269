import type { Images } from "../../sandbox/index.ts";
import type { ImageFsInfoRequest__Output } from "../types/runtime/v1/ImageFsInfoRequest.ts";
import type { ImageFsInfoResponse } from "../types/runtime/v1/ImageFsInfoResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** What images take of their file system; writable layers lie on the same one. */
export function imageFsInfo(images: Images): UnaryHandler<ImageFsInfoRequest__Output, ImageFsInfoResponse> {
  return () => {
    const usage = images.filesystemUsage();
    const filesystem = {
      timestamp: String(usage.timestamp),
      fs_id: { mountpoint: usage.mountpoint },
      used_bytes: { value: String(usage.usedBytes) },
      inodes_used: { value: String(usage.inodesUsed) },
    };
    return { image_filesystems: [filesystem], container_filesystems: [filesystem] };
  };
}
