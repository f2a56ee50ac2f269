import type { Codec, Durability, Store, Table } from "../store/index.ts";
import { jsonCodec } from "../store/index.ts";
import type { NetworkConf } from "./conf.ts";
import type { JsonObject } from "./json.ts";
import type { CniResult } from "./result.ts";

/**
 * How far an attachment is.
 *
 * ```
 *              attach             ADD succeeded              detach failed
 *   (none) ──────────────► intent ─────────────► attached ─────────────────► leaving ──┐ tried again
 *                            │                       │                         │  ▲────┘
 *                            │ ADD failed, DEL too   │ detach                  │
 *                            └──► leaving            └──► (none) ◄─────────────┘
 * ```
 */
export type AttachmentState =
  | { readonly state: "intent" }
  | { readonly state: "attached"; readonly result: CniResult }
  | { readonly state: "leaving"; readonly result?: CniResult };

/** What teardown needs, written before anything is set up: it holds whatever the configuration says by then. */
export interface AttachmentRecord {
  readonly podId: string;
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS. */
  readonly args: string;
  readonly capabilities: JsonObject;
  readonly network: NetworkConf;
  readonly state: AttachmentState;
}

/** The records of every attachment, in memory and in the store. */
export class RecordBook {
  readonly #store: Store;
  readonly #table: Table<AttachmentRecord>;
  readonly #records: Map<string, AttachmentRecord>;

  /** Reads what an earlier daemon left. A record that does not decode is handed to `onDamaged`. */
  static async open(store: Store, onDamaged: (key: string, reason: string) => void): Promise<RecordBook> {
    const codec: Codec<AttachmentRecord> = jsonCodec();
    const table = store.table("networks", codec);
    return new RecordBook(store, table, await table.entries(onDamaged));
  }

  private constructor(store: Store, table: Table<AttachmentRecord>, records: Map<string, AttachmentRecord>) {
    this.#store = store;
    this.#table = table;
    this.#records = records;
  }

  get(podId: string): AttachmentRecord | undefined {
    return this.#records.get(podId);
  }

  all(): AttachmentRecord[] {
    return [...this.#records.values()];
  }

  async put(record: AttachmentRecord, durability: Durability): Promise<void> {
    await this.#store.write([this.#table.put(record.podId, record)], durability);
    this.#records.set(record.podId, record);
  }

  /** Deletes without sync: a deletion that a power cut takes back is a teardown done twice, which does no harm. */
  async delete(podId: string): Promise<void> {
    await this.#store.write([this.#table.delete(podId)], "memory");
    this.#records.delete(podId);
  }
}
