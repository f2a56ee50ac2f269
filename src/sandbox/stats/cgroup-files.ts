import { closeSync, existsSync, openSync, readSync } from "node:fs";
import type { HandleBudget } from "./handle-budget.ts";
import { folderOf, type Hierarchies } from "./hierarchies.ts";

/** The longest file of a cgroup that is read; io.stat of a host with hundreds of disks fits. */
const maxFileBytes = 64 * 1024;

/** Every read is synchronous and its text copied at once, so one buffer serves all. */
const buffer = Buffer.allocUnsafe(maxFileBytes);

/**
 * The files of one cgroup in all hierarchies. Each is opened at its first read and kept open, since opening costs more
 * than reading; the kernel computes the text anew for every read at offset 0.
 */
export class CgroupFiles implements Disposable {
  readonly #hierarchies: Hierarchies;
  readonly #path: string;
  readonly #budget: HandleBudget;
  readonly #handles = new Map<string, number>();
  readonly #absent = new Set<string>();

  constructor(hierarchies: Hierarchies, path: string, budget: HandleBudget) {
    this.#hierarchies = hierarchies;
    this.#path = path;
    this.#budget = budget;
  }

  /** What a file says now; undefined where this kernel has no such file, or the cgroup is gone. */
  read(controller: string, file: string): string | undefined {
    const key = `${controller}/${file}`;
    const held = this.#handles.get(key);
    if (held !== undefined) return this.#readHeld(key, held);
    if (this.#absent.has(key)) return undefined;
    const folder = folderOf(this.#hierarchies, controller, this.#path);
    const handle = folder === undefined ? undefined : tryOpen(`${folder}/${file}`);
    if (folder === undefined || handle === undefined) {
      // What is missing while the cgroup is there is missing for good; a cgroup may also come later.
      if (folder === undefined || existsSync(folder)) this.#absent.add(key);
      return undefined;
    }
    if (this.#budget.take()) {
      this.#handles.set(key, handle);
      return this.#readHeld(key, handle);
    }
    try {
      return readAll(handle);
    } catch {
      return undefined;
    } finally {
      closeSync(handle);
    }
  }

  /** The cgroup's folder for a controller. */
  folder(controller: string): string | undefined {
    return folderOf(this.#hierarchies, controller, this.#path);
  }

  [Symbol.dispose](): void {
    for (const handle of this.#handles.values()) this.#close(handle);
    this.#handles.clear();
  }

  #readHeld(key: string, handle: number): string | undefined {
    try {
      return readAll(handle);
    } catch {
      // ENODEV: the cgroup was removed. Should it come again, it is another one.
      this.#handles.delete(key);
      this.#close(handle);
      return undefined;
    }
  }

  #close(handle: number): void {
    closeSync(handle);
    this.#budget.give();
  }
}

function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch {
    return undefined;
  }
}

function readAll(handle: number): string {
  return buffer.toString("latin1", 0, readSync(handle, buffer, 0, maxFileBytes, 0));
}
