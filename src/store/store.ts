import type { Codec } from "./codec.ts";
import { Database } from "./database.ts";

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

/**
 * Opens the store in a folder; throws `failed-precondition` where another daemon has it. Of a damaged one what can be
 * read is kept, and `onDamaged` is told.
 */
export async function openStore(
  folder: string,
  onDamaged: (what: string) => void = () => undefined,
): Promise<Store> {
  const database = await Database.open(folder, onDamaged);
  return {
    table: (name, codec) => openTable(database, name, codec),
    write: (writes, durability) =>
      database.write(
        writes.map((write) =>
          write.kind === "put"
            ? { type: "put", key: write.key, value: write.value }
            : { type: "del", key: write.key },
        ),
        durability === "disk",
      ),
    close: () => database.close(),
  };
}

function openTable<T>(database: Database, name: string, codec: Codec<T>): Table<T> {
  const prefix = `${name}/`;
  return {
    put: (key, value) => ({ kind: "put", key: prefix + key, value: codec.encode(value) }),
    delete: (key) => ({ kind: "delete", key: prefix + key }),
    get: async (key) => {
      const text = await database.get(prefix + key);
      return text === undefined ? undefined : codec.decode(text);
    },
    entries: async (onDamaged) => {
      const found = new Map<string, T>();
      // "0" is the character after "/": the range holds every key of this table and no other.
      for await (const [key, text] of database.entries({ gte: prefix, lt: `${name}0` })) {
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
