import { Level } from "level";
import { RuntimeError } from "../core/errors.ts";
import { Reserve } from "./reserve.ts";

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
  #repair: Promise<void> | undefined;

  private constructor(folder: string, level: Level) {
    this.#folder = folder;
    this.#level = level;
    this.#reserve = new Reserve(`${folder}.reserve`);
  }

  /** Opens the database; throws `failed-precondition` where another process has it, `internal` where it is damaged. */
  static async open(folder: string): Promise<Database> {
    const level = new Level(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
    try {
      await level.open();
    } catch (error) {
      throw openFailure(folder, error);
    }
    const database = new Database(folder, level);
    await database.#reserve.refill();
    return database;
  }

  /** Writes all or nothing; `resource-exhausted` where the disk is full and the reserve used up. */
  async write(batch: Batch, sync: boolean): Promise<void> {
    await this.#repair;
    try {
      await this.#batch(batch, sync);
    } catch (error) {
      if (!isBroken(error)) throw error;
      await this.#repaired(error);
      await this.#batch(batch, sync).catch((again: unknown) => {
        throw writeFailure(this.#folder, again);
      });
    }
    this.#reserve.refill().catch(() => undefined);
  }

  async get(key: string): Promise<string | undefined> {
    return this.#level.get(key);
  }

  /** Keys and values from `gte` up to and without `lt`, in order. */
  entries(range: { readonly gte: string; readonly lt: string }): AsyncIterable<[string, string]> {
    return this.#level.iterator(range);
  }

  async close(): Promise<void> {
    await this.#repair?.catch(() => undefined);
    await this.#level.close();
  }

  async #batch(batch: Batch, sync: boolean): Promise<void> {
    await this.#level.batch([...batch], { sync } as object);
  }

  /** Opened anew once for all writes that failed together. */
  async #repaired(error: unknown): Promise<void> {
    this.#repair ??= this.#reopen(error).finally(() => {
      this.#repair = undefined;
    });
    await this.#repair;
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
