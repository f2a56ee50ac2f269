import { watch, type FSWatcher } from "node:fs";
import { basename } from "node:path";

/** How often a folder is looked at where no event told of a change, in milliseconds. */
const pollIntervalMs = 5_000;
/** A change comes as several events: they are reported once they stop for this long, in milliseconds. */
const quietTimeMs = 50;

/** Tells when a folder's content may have changed: by the kernel's events, and by a poll for what has none. */
export class FolderWatch implements Disposable {
  readonly #folder: string;
  readonly #onChange: () => void;
  readonly #poll: NodeJS.Timeout;
  #watcher: FSWatcher | undefined;
  #pending: NodeJS.Timeout | undefined;

  /** The folder may come later, or be replaced. */
  constructor(folder: string, onChange: () => void) {
    this.#folder = folder;
    this.#onChange = onChange;
    this.#watch();
    this.#poll = setInterval(() => {
      this.#watch();
      onChange();
    }, pollIntervalMs);
    this.#poll.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#poll);
    clearTimeout(this.#pending);
    this.#unwatch();
  }

  #watch(): void {
    if (this.#watcher !== undefined) return;
    try {
      const watcher = watch(this.#folder, { persistent: false }, (event, name) => {
        // The folder itself was moved or deleted: the poll looks for a new one.
        if (event === "rename" && name === basename(this.#folder)) this.#unwatch();
        this.#reportSoon();
      });
      watcher.on("error", () => {
        this.#unwatch();
      });
      this.#watcher = watcher;
    } catch {
      // Not there, or no watches left: the poll goes on.
      this.#watcher = undefined;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #reportSoon(): void {
    clearTimeout(this.#pending);
    this.#pending = setTimeout(this.#onChange, quietTimeMs);
    this.#pending.unref();
  }
}
