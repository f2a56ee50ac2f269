import type { Container } from "../core/container.ts";
import type { Image } from "../core/image.ts";
import type { CheckReport, ImageStore, StoreUsage } from "../images/index.ts";
import type { JobJournal } from "../store/index.ts";
import type { Inventory } from "./inventory.ts";
import type { LayerUsage, WritableLayers } from "./stats/writable-layers.ts";

/** What looking after the disk needs. */
export interface StoreCareDeps {
  readonly images: ImageStore;
  readonly inventory: Inventory;
  readonly jobs: JobJournal;
  readonly layers: WritableLayers;
}

/** What takes the disk. */
export interface DiskUsage extends StoreUsage {
  /** Ids of the containers that were made of an image, by the image's id. */
  readonly usedBy: ReadonlyMap<string, readonly string[]>;
  readonly containers: readonly { readonly container: Container; readonly written: LayerUsage }[];
}

/** Images that were removed, or would be. */
export interface Collected {
  readonly images: readonly Image[];
  readonly freedBytes: number;
}

/** Looks after what lies on the disk: tells, tidies and verifies. */
export class StoreCare {
  readonly #deps: StoreCareDeps;

  constructor(deps: StoreCareDeps) {
    this.#deps = deps;
  }

  diskUsage(): DiskUsage {
    const { images, layers } = this.#deps;
    const containers = [...this.#deps.inventory.containers()].map(({ record }) => record);
    return {
      ...images.usage(),
      usedBy: this.#usedBy(),
      containers: containers.map((container) => ({ container, written: layers.usage(container) })),
    };
  }

  /** Removes images that no container was made of and nobody pinned: all of them, or those without a tag. */
  async collectGarbage(
    scope: "all" | "untagged",
    mode: "remove" | "dry-run",
    signal: AbortSignal,
  ): Promise<Collected> {
    const { images, jobs } = this.#deps;
    const used = this.#usedBy();
    const unused = images
      .list()
      .filter(({ id, tags, pinned }) => !pinned && !used.has(id) && (scope === "all" || tags.length === 0));
    const collected = { images: unused, freedBytes: images.freedBy(unused.map(({ id }) => id)) };
    if (mode === "dry-run" || unused.length === 0) return collected;
    const request = { kind: "CollectGarbage", subject: scope, kept: "journal" } as const;
    return await jobs.run(request, signal, async (job) => {
      for (const { id, tags } of unused) {
        // A container may have been made of it since the list was.
        if (this.#usedBy().has(id)) continue;
        await images.remove(id);
        job.note(`removed ${[id, ...tags].join(" ")}`);
      }
      return collected;
    });
  }

  /** Verifies the store; see ImageStore.check. A check ends with its caller. */
  async check(
    mode: "report" | "repair",
    depth: "metadata" | "content",
    signal: AbortSignal,
  ): Promise<CheckReport> {
    const { images, jobs } = this.#deps;
    const request = { kind: "CheckStore", subject: depth, arguments: { mode }, kept: "journal" } as const;
    return await jobs.run(request, signal, (job) =>
      images.check({ mode, depth, job, signal: AbortSignal.any([job.signal, signal]) }),
    );
  }

  #usedBy(): Map<string, string[]> {
    const used = new Map<string, string[]>();
    for (const { record } of this.#deps.inventory.containers()) {
      for (const id of [record.imageId, ...Object.values(record.volumeImages ?? {})])
        used.set(id, [...(used.get(id) ?? []), record.id]);
    }
    return used;
  }
}
