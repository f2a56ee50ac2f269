import type { DiskUsage, StoreCare } from "../../sandbox/index.ts";
import type { DiskUsageRequest__Output } from "../types/berth/v1/DiskUsageRequest.ts";
import type { DiskUsageResponse } from "../types/berth/v1/DiskUsageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Tells what images, layers and containers take of the disk. */
export function diskUsage(care: StoreCare): UnaryHandler<DiskUsageRequest__Output, DiskUsageResponse> {
  return () => encode(care.diskUsage());
}

function encode({ images, layers, containers, blobBytes, usedBy }: DiskUsage): DiskUsageResponse {
  return {
    images: images.map(({ image, totalBytes, ownBytes }) => ({
      id: image.id,
      references: [...image.tags],
      total_bytes: totalBytes,
      own_bytes: ownBytes,
      containers: [...(usedBy.get(image.id) ?? [])],
      pinned: image.pinned,
    })),
    layers: layers.map(({ layer, path, images: by, containers: users }) => ({
      diff_id: layer.diffId,
      path,
      bytes: layer.sizeBytes,
      inodes: layer.inodes,
      images: [...by],
      containers: [...users],
    })),
    containers: containers.map(({ container, written }) => ({
      id: container.id,
      name: container.config.metadata.name,
      image: container.imageId,
      bytes: String(written.usedBytes),
      inodes: String(written.inodes),
      measured_at: String(written.at),
    })),
    layer_bytes: layers.reduce((sum, { layer }) => sum + layer.sizeBytes, 0),
    blob_bytes: blobBytes,
    container_bytes: String(containers.reduce((sum, { written }) => sum + written.usedBytes, 0n)),
  };
}
