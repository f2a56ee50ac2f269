import type { SpecMount } from "../../../core/oci-runtime-spec.ts";
import type { ImageMount } from "../../protocol/messages.ts";
import { AT, MS, O, OPEN_TREE_CLONE, S } from "../ffi/constants.ts";
import { E, asFailure, failure, prefixed } from "../ffi/error.ts";
import { close, fstat, isType, open } from "../ffi/files.ts";
import { mountSetattr, moveMount, openTree } from "../ffi/mounts.ts";
import { detachedElsewhere } from "./elsewhere.ts";
import { emptyFolder } from "./filesystems.ts";
import type { MountOptions } from "./options.ts";
import { detachOverlay } from "./overlay.ts";
import type { DetachedMount } from "./sources.ts";
import { idMapsOf } from "./sources.ts";
import { openInRoot } from "./targets.ts";
import type { IdMaps } from "./userns.ts";
import { mapIds } from "./userns.ts";

/** The `type` of a spec's mount that shows an image; what it consists of comes with the request. */
export const imageMountType = "image";

/**
 * An image's tree, or a folder in it, as a detached mount: one layer is bound, several are an overlay without a writable
 * layer. Made in the host's mount namespace. The kubelet knows a failure by the first word of its text (cri-api
 * pkg/errors).
 */
export function detachImage(
  mount: SpecMount,
  options: MountOptions,
  images: readonly ImageMount[],
  scratch: string,
  label: string,
): DetachedMount {
  try {
    const image = images.find((one) => one.destination === mount.destination && one.source === mount.source);
    if (image === undefined) throw failure("invalid-argument", `no layers of ${mount.source} came along`);
    const tree = detachTree(image, scratch, label, idMapsOf(mount));
    const fd = image.subPath === "" ? tree : detachBelow(tree, image.subPath, scratch);
    mountSetattr(fd, 0, { set: options.set, clear: options.clear, propagation: MS.PRIVATE }, image.source);
    return { fd, isFolder: true };
  } catch (thrown) {
    throw prefixed(`ImageVolumeMountFailed: mount ${mount.destination}`, thrown);
  }
}

function detachTree(image: ImageMount, scratch: string, label: string, maps: IdMaps | undefined): number {
  const [only] = image.lowers;
  if (only === undefined) return emptyFolder();
  if (image.lowers.length > 1) return detachOverlay(image, scratch, label, maps);
  const path = `${image.layersDir}/${only}`;
  const fd = openTree(AT.FDCWD, path, OPEN_TREE_CLONE);
  if (maps !== undefined) mapIds(fd, maps, 0, path);
  return fd;
}

/**
 * A folder inside a detached tree as a mount of its own. The tree is attached meanwhile, where nobody else sees it: before
 * Linux 6.15 nothing can be cloned from a detached one. No symlink of the image leads out of it.
 */
function detachBelow(tree: number, subPath: string, scratch: string): number {
  const fd = detachedElsewhere(() => {
    const place = open(scratch, O.PATH | O.DIRECTORY);
    moveMount(tree, place, scratch);
    const folder = openFolder(tree, subPath);
    return openTree(folder, "", OPEN_TREE_CLONE | AT.EMPTY_PATH, subPath);
  });
  close(tree);
  return fd;
}

function openFolder(tree: number, subPath: string): number {
  const [ok, found] = pcall(() => openInRoot({ fd: tree, path: "" }, subPath));
  if (!ok && asFailure(found).errno === E.NOTDIR) throw notFolder(subPath);
  if (!ok) throw found;
  if (found === undefined) {
    throw failure("failed-precondition", `image_sub_path ${subPath} is not in the image`);
  }
  if (!isType(fstat(found), S.IFDIR)) throw notFolder(subPath);
  return found;
}

function notFolder(subPath: string): ReturnType<typeof failure> {
  return failure("failed-precondition", `image_sub_path ${subPath} is not a directory of the image`);
}
