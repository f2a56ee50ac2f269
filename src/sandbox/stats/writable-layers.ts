import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";
import type { Container } from "../../core/container.ts";
import type { ContainerId } from "../../core/ids.ts";
import type { Logger } from "../../core/logger.ts";
import type { WritableLayer } from "../../images/index.ts";
import { Pace, pauseBetween } from "./pace.ts";
import { measureTree, type TreeUsage } from "./tree-usage.ts";

/** What a container has written, and when that was found out. */
export interface LayerUsage extends TreeUsage {
  /** Nanoseconds since the epoch: the start of the walk that counted it. */
  readonly at: bigint;
}

/** What the walks need. */
export interface WritableLayersDeps {
  readonly containers: () => Iterable<Container>;
  readonly layerOf: (id: ContainerId) => WritableLayer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** From the start of one walk of a layer to that of the next: leaves as long again for the walk, within 60 s. */
const refreshMs = 30_000;

/** A container that has just started is given this long to write its first files. */
const settleMs = 1_000;

/**
 * Measures writable layers in the background, one at a time: no request ever walks a tree. The layer of a container that
 * has ended is walked once more and then never again, since nothing can write to it. Disk quotas, which would spare
 * the walks, are not used.
 */
export class WritableLayers implements AsyncDisposable {
  readonly #deps: WritableLayersDeps;
  readonly #measured = new Map<ContainerId, LayerUsage>();
  /** When a layer is to be walked next, on the clock of performance.now(); absent is at once. */
  readonly #due = new Map<ContainerId, number>();
  readonly #running: Promise<void>;
  #stopped = false;
  #wake: () => void = () => undefined;
  #walking: { readonly id: ContainerId; readonly abort: AbortController } | undefined;

  constructor(deps: WritableLayersDeps) {
    this.#deps = deps;
    this.#running = this.#run();
  }

  /** The last measurement of a layer; before the first, what a new one holds: nothing, as of its making. */
  usage(container: Container): LayerUsage {
    return this.#measured.get(container.id) ?? { usedBytes: 0n, inodes: 0n, at: container.createdAt };
  }

  /** All layers together, as old as the oldest measurement. */
  total(): LayerUsage {
    const now = this.#deps.clock();
    let total: LayerUsage = { usedBytes: 0n, inodes: 0n, at: now };
    for (const container of this.#deps.containers()) {
      const { usedBytes, inodes, at } = this.usage(container);
      total = {
        usedBytes: total.usedBytes + usedBytes,
        inodes: total.inodes + inodes,
        // What has ended does not get old.
        at: at < total.at && container.state.state !== "exited" ? at : total.at,
      };
    }
    return total;
  }

  /** Something happened to a container that its writable layer may show. */
  touch(id: ContainerId): void {
    this.#due.set(id, performance.now() + settleMs);
    this.#wake();
  }

  /** The container is gone: a walk of it ends. */
  forget(id: ContainerId): void {
    this.#measured.delete(id);
    this.#due.delete(id);
    if (this.#walking?.id === id) this.#walking.abort.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#walking?.abort.abort();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const next = this.#next();
      if (next === undefined || next.inMs > 0) {
        await this.#pause(next?.inMs ?? refreshMs);
        continue;
      }
      await this.#measure(next.id);
      // Many small layers that are due at the same time would be one long walk.
      await sleep(pauseBetween(this.#measured.size), undefined, { ref: false });
    }
  }

  /** The layer that is due first. */
  #next(): { readonly id: ContainerId; readonly inMs: number } | undefined {
    let first: { readonly id: ContainerId; readonly inMs: number } | undefined;
    const now = performance.now();
    for (const container of this.#deps.containers()) {
      if (container.state.state === "creating") continue;
      const inMs = (this.#due.get(container.id) ?? now) - now;
      if (first === undefined || inMs < first.inMs) first = { id: container.id, inMs };
    }
    return first;
  }

  async #measure(id: ContainerId): Promise<void> {
    const { containers, layerOf, clock, logger } = this.#deps;
    const abort = new AbortController();
    this.#walking = { id, abort };
    // Read before the walk: what ends during it is walked once more.
    const ended = [...containers()].find((container) => container.id === id)?.state.state === "exited";
    this.#due.set(id, performance.now() + (ended ? Infinity : refreshMs));
    const at = clock();
    try {
      const { folder, copied } = layerOf(id);
      const usage = await measureTree(folder, new Pace(this.#knownInodes(), abort.signal));
      if (!abort.signal.aborted) this.#measured.set(id, { ...beyond(usage, copied), at });
    } catch (error) {
      if (abort.signal.aborted) this.#due.delete(id);
      else if (!isGone(error)) {
        logger.warn("a writable layer cannot be measured", { container: id, error: String(error) });
      }
    } finally {
      this.#walking = undefined;
    }
  }

  #knownInodes(): number {
    let inodes = 0n;
    for (const usage of this.#measured.values()) inodes += usage.inodes;
    return Number(inodes);
  }

  /** Waits, but for no longer than a refresh, and no longer than until something is touched. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, refreshMs)).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** What there is besides the copy of the image; where the container removed more than it wrote, nothing. */
function beyond(usage: TreeUsage, copied: WritableLayer["copied"]): TreeUsage {
  if (copied === undefined) return usage;
  const less = (all: bigint, part: number): bigint => (all > BigInt(part) ? all - BigInt(part) : 0n);
  return {
    usedBytes: less(usage.usedBytes, copied.usedBytes),
    inodes: less(usage.inodes, copied.inodes),
  };
}

/** The layer was removed, and the container's record is about to be. */
function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
