import { chmod, chown, mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { allEnded } from "../core/all-ended.ts";
import type { ContainerId } from "../core/ids.ts";
import type { Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import type { Catalog, Snapshot as Known } from "./catalog.ts";
import { onDisk } from "./disk-errors.ts";
import { discard, shortName, temporaryPath, type Layout } from "./layout.ts";
import { createLimiter } from "./limiter.ts";
import { copyTree, type CopyReport, type PackRequest } from "./pack.ts";
import type { UnpackerSettings } from "./unpack.ts";

/** How containers get a root of their own: `copy` is for hosts on which overlay does not work. */
export type SnapshotForm = "overlay" | "copy";

/** What a container's root is mounted of. */
export type Snapshot =
  | {
      readonly kind: "overlay";
      readonly layersDir: string;
      /** Relative to `layersDir`, topmost first. */
      readonly lowers: readonly string[];
      readonly upper: string;
      readonly work: string;
    }
  | {
      readonly kind: "copy";
      /** A tree of the container's own. */
      readonly path: string;
    };

/** What an image volume is mounted of, read-only; a single lower is bound. */
export interface ImageLayers {
  readonly layersDir: string;
  /** Relative to `layersDir`, topmost first. */
  readonly lowers: readonly string[];
}

/** A container's writable layer. */
export interface WritableLayer {
  /** What the container itself wrote is in here. */
  readonly folder: string;
  /** What of it was copied from the image; absent where only writes are in there. */
  readonly copied?: CopyReport;
}

/** How packTree reads a container's files. */
export type ContainerTree = Pick<PackRequest, "form" | "folders"> & {
  /** Whether owners are host ids of the container's user namespace, or as the container sees them. */
  readonly owners: "outside" | "inside";
};

/** What an image's root folder mostly has; the daemon's umask leaves it as it is. */
const upperMode = 0o755;

/** The writable layers of containers, and what they keep from being removed. */
export interface Snapshots {
  /** Records what the container needs, then makes its folders. Throws `not-found` where a layer is gone. */
  prepare(containerId: ContainerId, image: Image, signal: AbortSignal): Promise<Snapshot>;
  /** Keeps a further image for a container, as a volume. */
  hold(containerId: ContainerId, image: Image, signal: AbortSignal): Promise<ImageLayers>;
  /** Removes folders and record; absent is no error. What else needs the layers is not touched. */
  remove(containerId: ContainerId): Promise<void>;
  writableLayer(containerId: ContainerId): WritableLayer;
  /** What the container wrote, as a layer. */
  written(containerId: ContainerId): ContainerTree;
  /** All that the container sees but for mounts. */
  seen(containerId: ContainerId): ContainerTree;
}

/** Trees that are copied at a time: more would only make each slower. */
const maxCopiesAtOnce = 2;

export function openSnapshots(
  layout: Layout,
  catalog: Catalog,
  unpacker: UnpackerSettings,
  form: SnapshotForm,
): Snapshots {
  const limiter = createLimiter(maxCopiesAtOnce);
  const folderOf = (containerId: ContainerId): string => join(layout.containers, containerId);

  const makeOverlay = async (containerId: ContainerId, lowers: readonly string[]): Promise<Snapshot> => {
    const folder = folderOf(containerId);
    const upper = join(folder, "upper");
    const work = join(folder, "work");
    const [topmost] = lowers;
    // Each makes the folder above where it comes first; nobody else looks into that of all containers.
    const [root] = await allEnded([
      topmost === undefined ? undefined : stat(join(layout.layers, topmost)),
      mkdir(upper, { recursive: true, mode: upperMode }),
      mkdir(work, { recursive: true, mode: 0o700 }),
    ]);
    // Overlay shows the upper folder's owner and mode as those of /.
    if (root !== undefined) {
      const mode = root.mode & 0o7777;
      if (mode !== upperMode) await chmod(upper, mode);
      if (root.uid !== 0 || root.gid !== 0) await chown(upper, root.uid, root.gid);
    }
    return { kind: "overlay", layersDir: layout.layers, lowers, upper, work };
  };

  /** Copies into tmp, then into place by one rename: what a crash or a cancelled request leaves is swept with tmp. */
  const copyInto = async (
    containerId: ContainerId,
    name: string,
    lowers: readonly string[],
    signal: AbortSignal,
  ): Promise<CopyReport> => {
    const release = await limiter.acquire("copy", signal);
    const temporary = temporaryPath(layout, "copy");
    try {
      await mkdir(folderOf(containerId), { recursive: true, mode: 0o700 });
      await mkdir(temporary, { mode: 0o755 });
      const layers = lowers.map((lower) => join(layout.layers, lower));
      const what = `copy of the image for container ${containerId}`;
      const report =
        layers.length === 0 ? emptyTree : await copyTree(unpacker, temporary, layers, what, signal);
      await rename(temporary, join(folderOf(containerId), name));
      return report;
    } catch (thrown) {
      await rm(temporary, { recursive: true, force: true });
      throw thrown;
    } finally {
      release();
    }
  };

  const makeCopy = async (
    containerId: ContainerId,
    lowers: readonly string[],
    signal: AbortSignal,
  ): Promise<Snapshot> => {
    const copied = await copyInto(containerId, "rootfs", lowers, signal);
    const known = recordOf(containerId);
    await catalog.putSnapshot(containerId, { ...known, copied });
    return { kind: "copy", path: join(folderOf(containerId), "rootfs") };
  };

  const remove = async (containerId: ContainerId): Promise<void> => {
    await discard(layout, folderOf(containerId));
    await catalog.deleteSnapshot(containerId);
  };

  const recordOf = (containerId: ContainerId): Known => {
    const record = catalog.snapshots.get(containerId);
    if (record !== undefined) return record;
    throw new RuntimeError("not-found", `container ${containerId} has no writable layer`);
  };

  const layersOf = (containerId: ContainerId, record: Known): string[] =>
    foldersOf(catalog, record.root ?? record.layers, `container ${containerId}`).map((lower) =>
      join(layout.layers, lower),
    );

  return {
    prepare: async (containerId, image, signal) => {
      const lowers = lowersOf(catalog, image);
      // References first, in memory before the first wait: nothing collects the layers from here on. The folders need not
      // wait for the record: until both are there the container's own record says that it is being made.
      const copied = form === "copy" ? { copied: emptyTree } : {};
      const record = catalog.putSnapshot(containerId, {
        layers: image.layers,
        root: image.layers,
        ...copied,
      });
      try {
        const what = `container ${containerId}`;
        const make = async (): Promise<Snapshot> => {
          if (form === "overlay") return makeOverlay(containerId, lowers);
          await record;
          return makeCopy(containerId, lowers, signal);
        };
        const [snapshot] = await allEnded([onDisk(layout.root, what, make), record]);
        return snapshot;
      } catch (thrown) {
        await remove(containerId);
        throw thrown;
      }
    },
    hold: async (containerId, image, signal) => {
      const lowers = lowersOf(catalog, image);
      const before = catalog.snapshots.get(containerId);
      const layers = [...new Set([...(before?.layers ?? []), ...image.layers])];
      await catalog.putSnapshot(containerId, { ...before, layers });
      // A single layer is shown as it is in either form.
      if (before?.copied === undefined || lowers.length < 2) return { layersDir: layout.layers, lowers };
      const name = `volume-${shortName()}`;
      await onDisk(layout.root, `container ${containerId}`, () =>
        copyInto(containerId, name, lowers, signal),
      );
      return { layersDir: folderOf(containerId), lowers: [name] };
    },
    remove,
    writableLayer: (containerId) => {
      const copied = catalog.snapshots.get(containerId)?.copied;
      if (copied !== undefined) return { folder: join(folderOf(containerId), "rootfs"), copied };
      return { folder: join(folderOf(containerId), "upper") };
    },
    written: (containerId) => {
      const record = recordOf(containerId);
      if (record.copied === undefined)
        return { form: "layer", folders: [join(folderOf(containerId), "upper")], owners: "outside" };
      const folders = [join(folderOf(containerId), "rootfs"), ...layersOf(containerId, record)];
      return { form: "difference", folders, owners: "inside" };
    },
    seen: (containerId) => {
      const record = recordOf(containerId);
      if (record.copied !== undefined)
        return { form: "merged", folders: [join(folderOf(containerId), "rootfs")], owners: "inside" };
      const folders = [join(folderOf(containerId), "upper"), ...layersOf(containerId, record)];
      return { form: "merged", folders, owners: "outside" };
    },
  };
}

const emptyTree: CopyReport = { usedBytes: 0, inodes: 1 };

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
