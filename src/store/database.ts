import { rename } from "node:fs/promises";
import { Level } from "level";
import { RuntimeError } from "../core/errors.ts";
import { Reserve } from "./reserve.ts";
import { WriteQueue } from "./write-queue.ts";

/** What is written at once. */
export type Batch = readonly (
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "del"; readonly key: string }
)[];

/**
 * LevelDB that goes on after its disk was full. A write that failed within leaves LevelDB's log out of step: it takes
 * what is written later, and loses much of it at the next opening (seen with leveldb 1.20, which classic-level brings).
 * So after such a failure the database is opened anew, with a fresh log, before anything else is written; the reserve
 * makes room for that, and for the records of whatever frees the disk.
 */
export class Database {
  readonly #folder: string;
  readonly #level: Level;
  readonly #reserve: Reserve;
  #closed = false;
  readonly #queue = new WriteQueue((batch, sync) => this.#issue(batch, sync));

  private constructor(folder: string, level: Level) {
    this.#folder = folder;
    this.#level = level;
    this.#reserve = new Reserve(`${folder}.reserve`);
  }

  /**
   * Opens the database; throws `failed-precondition` where another process has it. A damaged one is rebuilt of what can
   * still be read, which `onDamaged` is told: records that are lost come back from sidecars, or from the kubelet.
   */
  static async open(folder: string, onDamaged: (what: string) => void): Promise<Database> {
    let level: Level;
    try {
      level = await openWhole(folder);
    } catch (error) {
      if (!isDamaged(error)) throw openFailure(folder, error);
      onDamaged(`the store ${folder} is damaged and is rebuilt of what can be read: ${reasonOf(error)}`);
      level = await openRebuilt(folder, onDamaged);
    }
    const database = new Database(folder, level);
    await database.#reserve.refill();
    return database;
  }

  /** Writes all or nothing, in the order of calls; `resource-exhausted` where the disk is full and the reserve used up. */
  async write(batch: Batch, sync: boolean): Promise<void> {
    // To write to a database that is not open is to open it again.
    if (this.#closed) throw new RuntimeError("unavailable", `the store ${this.#folder} is closed`);
    await this.#queue.write(batch, sync);
  }

  async get(key: string): Promise<string | undefined> {
    return this.#level.get(key);
  }

  /** Keys and values from `gte` up to and without `lt`, in order. */
  entries(range: { readonly gte: string; readonly lt: string }): AsyncIterable<[string, string]> {
    return this.#level.iterator(range);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.idle();
    await this.#level.close();
  }

  async #issue(batch: Batch, sync: boolean): Promise<void> {
    try {
      await this.#batch(batch, sync);
    } catch (error) {
      if (!isBroken(error)) throw error;
      await this.#reopen(error);
      await this.#batch(batch, sync).catch((again: unknown) => {
        throw writeFailure(this.#folder, again);
      });
    }
    this.#reserve.refill().catch(() => undefined);
  }

  async #batch(batch: Batch, sync: boolean): Promise<void> {
    await this.#level.batch([...batch], { sync } as object);
  }

  async #reopen(error: unknown): Promise<void> {
    if (isFull(error)) await this.#reserve.release();
    try {
      await this.#level.close();
      await this.#level.open();
    } catch (again) {
      throw writeFailure(this.#folder, again);
    }
  }
}

/** Opens it and reads every record once: LevelDB tells of a damaged table only where it is read. */
async function openWhole(folder: string): Promise<Level> {
  const level = new Level(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
  try {
    await level.open();
    for await (const _record of level.iterator());
    return level;
  } catch (error) {
    await level.close().catch(() => undefined);
    throw error;
  }
}

/** On Linux `Level` is classic-level's class, whose static functions its types leave out. */
const repairable = Level as unknown as { repair(folder: string): Promise<void> };

/** LevelDB's own repair keeps every record that can be read; where even that fails the folder is set aside. */
async function openRebuilt(folder: string, onDamaged: (what: string) => void): Promise<Level> {
  try {
    await repairable.repair(folder);
    return await openWhole(folder);
  } catch (error) {
    if (isFull(error)) throw openFailure(folder, error);
    const aside = `${folder}.damaged-${Date.now()}`;
    await rename(folder, aside);
    onDamaged(`the store ${folder} could not be rebuilt, and lies at ${aside}: ${reasonOf(error)}`);
    try {
      return await openWhole(folder);
    } catch (again) {
      throw openFailure(folder, again);
    }
  }
}

/** Files of it are missing, or hold what LevelDB did not write. */
function isDamaged(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const missing = /\.ldb: Invalid argument|MANIFEST-\d+: No such file/.test(reasonOf(cause));
  return codeOf(cause) === "LEVEL_CORRUPTION" || (codeOf(cause) === "LEVEL_IO_ERROR" && missing);
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

/** Failed within LevelDB, or refused since an earlier repair did not succeed. */
function isBroken(error: unknown): boolean {
  return codeOf(error) === "LEVEL_IO_ERROR" || codeOf(error) === "LEVEL_DATABASE_NOT_OPEN";
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/** The words of strerror(3) for ENOSPC and EDQUOT: LevelDB passes nothing else on. */
function isFull(error: unknown): boolean {
  return /No space left on device|Disk quota exceeded/.test(reasonOf(error));
}

function writeFailure(folder: string, error: unknown): RuntimeError {
  const code = isFull(error) ? "resource-exhausted" : "internal";
  return new RuntimeError(code, `cannot write to the store ${folder}: ${reasonOf(error)}`, { cause: error });
}

function openFailure(folder: string, error: unknown): RuntimeError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (codeOf(cause) === "LEVEL_LOCKED") {
    return new RuntimeError("failed-precondition", `the store ${folder} is in use by another berthd`, {
      cause,
    });
  }
  const code = isFull(cause) ? "resource-exhausted" : "internal";
  return new RuntimeError(code, `cannot open the store ${folder}: ${reasonOf(cause)}`, { cause });
}
