import { chmod, chown, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerId } from "../core/ids.ts";
import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Catalog } from "./catalog.ts";
import { onDisk } from "./disk-errors.ts";
import { discard, type Layout } from "./layout.ts";

/** What an overlay mount of a container's root is made of. */
export interface Snapshot {
  readonly layersDir: string;
  /** Relative to `layersDir`, topmost first. */
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
}

/** The writable layers of containers, and what they keep from being removed. */
export interface Snapshots {
  /** Records what the container needs, then makes its folders. Throws `not-found` where a layer is gone. */
  prepare(containerId: ContainerId, image: Image): Promise<Snapshot>;
  /** Keeps a further image for a container, as a volume; the lowers to mount read-only. */
  hold(containerId: ContainerId, image: Image): Promise<Pick<Snapshot, "layersDir" | "lowers">>;
  /** Removes folders and record; absent is no error. What else needs the layers is not touched. */
  remove(containerId: ContainerId): Promise<void>;
  /** The folder that the container's own writes are in. */
  writableDir(containerId: ContainerId): string;
  /** Absolute folders that the container's root is made of, topmost first: the writable one and its image's layers. */
  foldersOf(containerId: ContainerId): readonly string[];
}

export function openSnapshots(layout: Layout, catalog: Catalog): Snapshots {
  const folderOf = (containerId: ContainerId): string => join(layout.containers, containerId);

  const makeFolders = async (containerId: ContainerId, topmost: string | undefined): Promise<Snapshot> => {
    const folder = folderOf(containerId);
    const upper = join(folder, "upper");
    const work = join(folder, "work");
    await mkdir(folder, { mode: 0o700 });
    await mkdir(upper, { mode: 0o755 });
    await mkdir(work, { mode: 0o700 });
    // Overlay shows the upper folder's owner and mode as those of /.
    if (topmost !== undefined) {
      const root = await stat(join(layout.layers, topmost));
      await chmod(upper, root.mode & 0o7777);
      if (root.uid !== 0 || root.gid !== 0) await chown(upper, root.uid, root.gid);
    }
    return { layersDir: layout.layers, lowers: [], upper, work };
  };

  const remove = async (containerId: ContainerId): Promise<void> => {
    await discard(layout, folderOf(containerId));
    await catalog.deleteSnapshot(containerId);
  };

  return {
    prepare: async (containerId, image) => {
      const lowers = lowersOf(catalog, image);
      // References first, in memory before the first wait: nothing collects the layers from here on.
      await catalog.putSnapshot(containerId, { layers: image.layers, root: image.layers });
      try {
        const what = `container ${containerId}`;
        const made = await onDisk(layout.root, what, () => makeFolders(containerId, lowers[0]));
        return { ...made, lowers };
      } catch (thrown) {
        await remove(containerId);
        throw thrown;
      }
    },
    hold: async (containerId, image) => {
      const lowers = lowersOf(catalog, image);
      const before = catalog.snapshots.get(containerId);
      const layers = [...new Set([...(before?.layers ?? []), ...image.layers])];
      await catalog.putSnapshot(containerId, { ...before, layers });
      return { layersDir: layout.layers, lowers };
    },
    remove,
    writableDir: (containerId) => join(folderOf(containerId), "upper"),
    foldersOf: (containerId) => {
      const record = catalog.snapshots.get(containerId);
      if (record === undefined) {
        throw new RuntimeError("not-found", `container ${containerId} has no writable layer`);
      }
      const lowers = foldersOf(catalog, record.root ?? record.layers, `container ${containerId}`);
      return [join(folderOf(containerId), "upper"), ...lowers.map((lower) => join(layout.layers, lower))];
    },
  };
}

/** Folders of an image's layers, relative to all layers' folder, topmost first; `not-found` where one is gone. */
export function lowersOf(catalog: Pick<Catalog, "layers">, image: Image): string[] {
  return foldersOf(catalog, image.layers, `image ${image.id}`);
}

/**
 * Overlay refuses a folder twice, so of a layer that occurs again only the topmost one stays: it says the same about
 * every path that the lower one does.
 */
function foldersOf(catalog: Pick<Catalog, "layers">, layers: readonly Digest[], what: string): string[] {
  const topFirst: readonly Digest[] = [...new Set(layers.toReversed())];
  return topFirst.map((diffId) => {
    const layer = catalog.layers.get(diffId);
    if (layer === undefined) {
      throw new RuntimeError("not-found", `${what}: its layer ${diffId} is not in the store`);
    }
    return `${layer.folder}/fs`;
  });
}
