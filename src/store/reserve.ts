import { randomBytes } from "node:crypto";
import { open, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";

/** Enough for LevelDB to open anew, which writes its whole log (4 MiB) again, and for thousands of records after it. */
const reserveBytes = 8 * 1024 * 1024;

/** The reserve is set aside only where this many times its size is free. */
const comfort = 4;

/** How often room for a used reserve is looked for. */
const refillEveryMs = 60_000;

const pieceBytes = 1024 * 1024;

/** A file that takes up disk beside the store, and gives it up when nothing else is left: what frees a disk is recorded too. */
export class Reserve {
  readonly #path: string;
  #held = false;
  #triedAt = -Infinity;

  constructor(path: string) {
    this.#path = path;
  }

  /** Sets the reserve aside where it is missing and the disk has room; at most once in {@link refillEveryMs}. */
  async refill(): Promise<void> {
    if (this.#held || performance.now() - this.#triedAt < refillEveryMs) return;
    this.#triedAt = performance.now();
    this.#held = (await isWhole(this.#path)) || (await this.#fill());
  }

  /** Gives the room back. */
  async release(): Promise<void> {
    this.#held = false;
    this.#triedAt = performance.now();
    await rm(this.#path, { force: true });
  }

  async #fill(): Promise<boolean> {
    await rm(this.#path, { force: true });
    const { bavail, bsize } = await statfs(dirname(this.#path)).catch(() => ({ bavail: 0, bsize: 0 }));
    if (bavail * bsize < comfort * reserveBytes) return false;
    const file = await open(this.#path, "w", 0o600);
    try {
      // Bytes that no file system can make smaller.
      for (let at = 0; at < reserveBytes; at += pieceBytes) await file.write(randomBytes(pieceBytes));
      return true;
    } catch {
      await rm(this.#path, { force: true });
      return false;
    } finally {
      await file.close();
    }
  }
}

async function isWhole(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.size === reserveBytes;
}
