import { Level } from "level";
import { RuntimeError } from "../core/errors.ts";
import type { Codec } from "./codec.ts";

/** A write that has not happened yet; given to {@link Store.write} alone or with others. */
export type Write =
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "delete"; readonly key: string };

/** Records of one kind, by key. Reading is for start-up: the owners of a table keep what they need in memory. */
export interface Table<T> {
  put(key: string, value: T): Write;
  delete(key: string): Write;
  get(key: string): Promise<T | undefined>;
  /** Every record in key order; one that does not decode is handed to `onDamaged` and left out. */
  entries(onDamaged: (key: string, reason: string) => void): Promise<Map<string, T>>;
}

/**
 * `memory`: survives kill -9 of the daemon, not a power cut (pods and containers, which do not outlive a reboot).
 * `disk`: synced, with everything written before it.
 */
export type Durability = "memory" | "disk";

/** The daemon's records in LevelDB. Open it exactly once in a process: a second open there drops the file lock. */
export interface Store {
  table<T>(name: string, codec: Codec<T>): Table<T>;
  /** Applies all writes or none. */
  write(writes: readonly Write[], durability: Durability): Promise<void>;
  close(): Promise<void>;
}

/** Opens the store in a folder; throws `failed-precondition` where another daemon has it, `internal` where it is damaged. */
export async function openStore(folder: string): Promise<Store> {
  const db = new Level(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
  try {
    await db.open();
  } catch (error) {
    throw openFailure(folder, error);
  }
  return {
    table: (name, codec) => openTable(db, name, codec),
    write: async (writes, durability) => {
      const batch = writes.map((write) =>
        write.kind === "put"
          ? { type: "put" as const, key: write.key, value: write.value }
          : { type: "del" as const, key: write.key },
      );
      await db.batch(batch, { sync: durability === "disk" } as object);
    },
    close: () => db.close(),
  };
}

function openTable<T>(db: Level, name: string, codec: Codec<T>): Table<T> {
  const prefix = `${name}/`;
  return {
    put: (key, value) => ({ kind: "put", key: prefix + key, value: codec.encode(value) }),
    delete: (key) => ({ kind: "delete", key: prefix + key }),
    get: async (key) => {
      const text = (await db.get(prefix + key)) as string | undefined;
      return text === undefined ? undefined : codec.decode(text);
    },
    entries: async (onDamaged) => {
      const found = new Map<string, T>();
      // "0" is the character after "/": the range holds every key of this table and no other.
      for await (const [key, text] of db.iterator({ gte: prefix, lt: `${name}0` })) {
        const bare = key.slice(prefix.length);
        try {
          found.set(bare, codec.decode(text));
        } catch (error) {
          onDamaged(bare, error instanceof Error ? error.message : String(error));
        }
      }
      return found;
    },
  };
}

function openFailure(folder: string, error: unknown): RuntimeError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = (cause as { code?: string }).code;
  if (code === "LEVEL_LOCKED") {
    return new RuntimeError("failed-precondition", `the store ${folder} is in use by another berthd`, {
      cause,
    });
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new RuntimeError("internal", `cannot open the store ${folder}: ${reason}`, { cause });
}
