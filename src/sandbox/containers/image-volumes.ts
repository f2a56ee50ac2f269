import type { ContainerConfig, ContainerMount } from "../../core/container.ts";
import { asRuntimeError, RuntimeError } from "../../core/errors.ts";
import type { ContainerId } from "../../core/ids.ts";
import type { Image } from "../../core/image.ts";
import type { ImageStore } from "../../images/index.ts";
import { cleanContainerPath, imageMountSource } from "../../oci/index.ts";
import type { ImageMount } from "../../shim/protocol/messages.ts";

/** The images that a container's mounts show. */
export type VolumeImages = ReadonlyMap<ContainerMount, Image>;

/** Finds the images of a container's volumes; throws `not-found` for one that is not in the store. */
export function findVolumeImages(images: ImageStore, config: ContainerConfig): VolumeImages {
  const found = new Map<ContainerMount, Image>();
  for (const mount of config.mounts) {
    if (mount.image === undefined) continue;
    const image = images.resolve(mount.image);
    if (image === undefined)
      throw mountFailed(mount, new RuntimeError("not-found", `image ${mount.image} not found`));
    found.set(mount, image);
  }
  return found;
}

/** Ids of the images by mount. */
export function volumeImageIds(volumes: VolumeImages): ReadonlyMap<ContainerMount, string> {
  return new Map([...volumes].map(([mount, image]) => [mount, image.id]));
}

/** Ids of the images by container path, for the container's record. */
export function idsByPath(volumes: VolumeImages): Readonly<Record<string, string>> {
  return Object.fromEntries([...volumes].map(([mount, image]) => [mount.containerPath, image.id]));
}

/** What showing images to containers needs. */
export interface VolumeMountDeps {
  readonly images: ImageStore;
  readonly overlay: Pick<ImageMount, "lowerdirPlus">;
}

/**
 * Keeps the images' layers until the container is removed, whatever becomes of the images, and says what the shim has to
 * mount.
 */
export async function holdVolumeImages(
  { images, overlay }: VolumeMountDeps,
  containerId: ContainerId,
  volumes: VolumeImages,
  signal: AbortSignal,
): Promise<readonly ImageMount[]> {
  const mounts: ImageMount[] = [];
  for (const [mount, image] of volumes) {
    const held = await images.hold(containerId, image, signal).catch((thrown: unknown) => {
      throw mountFailed(mount, asRuntimeError(thrown));
    });
    mounts.push({
      ...held,
      destination: cleanContainerPath(mount.containerPath),
      source: imageMountSource(image.id, mount.imageSubPath),
      subPath: mount.imageSubPath,
      lowerdirPlus: overlay.lowerdirPlus,
    });
  }
  return mounts;
}

/** The kubelet knows this error by the first word of its text (cri-api pkg/errors). */
function mountFailed({ containerPath }: ContainerMount, cause: RuntimeError): RuntimeError {
  const text = `ImageVolumeMountFailed: mount ${containerPath}: ${cause.message}`;
  return new RuntimeError(cause.code, text, { cause });
}
