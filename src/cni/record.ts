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
  /** 0 is the network that every pod gets, above are those that it asked for besides. */
  readonly position: number;
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS. */
  readonly args: string;
  readonly capabilities: JsonObject;
  readonly network: NetworkConf;
  readonly state: AttachmentState;
}

/** The records of every attachment, in memory and in the store, and which networks were ever used. */
export class RecordBook {
  readonly #store: Store;
  readonly #table: Table<AttachmentRecord>;
  readonly #usedTable: Table<NetworkConf>;
  readonly #records = new Map<string, AttachmentRecord[]>();
  readonly #used: Map<string, NetworkConf>;

  /** Reads what an earlier daemon left. A record that does not decode is handed to `onDamaged`. */
  static async open(store: Store, onDamaged: (key: string, reason: string) => void): Promise<RecordBook> {
    const table: Table<AttachmentRecord> = store.table("networks", attachmentCodec);
    const usedTable: Table<NetworkConf> = store.table("used-networks", jsonCodec());
    const book = new RecordBook(store, table, usedTable, await usedTable.entries(onDamaged));
    for (const record of (await table.entries(onDamaged)).values()) book.#keep(record);
    return book;
  }

  private constructor(
    store: Store,
    table: Table<AttachmentRecord>,
    usedTable: Table<NetworkConf>,
    used: Map<string, NetworkConf>,
  ) {
    this.#store = store;
    this.#table = table;
    this.#usedTable = usedTable;
    this.#used = used;
  }

  /** A pod's records, the one of its own network first. */
  ofPod(podId: string): readonly AttachmentRecord[] {
    return this.#records.get(podId) ?? [];
  }

  all(): AttachmentRecord[] {
    return [...this.#records.values()].flat();
  }

  /** Every network that a pod was attached to and that is not forgotten, as it was then. */
  usedNetworks(): NetworkConf[] {
    return [...this.#used.values()];
  }

  /** Writes records, and with them that their networks are in use. */
  async put(records: readonly AttachmentRecord[], durability: Durability): Promise<void> {
    const networks = records
      .filter(({ state, network }) => state.state === "intent" && this.#used.get(network.name) !== network)
      .map(({ network }) => network);
    await this.#store.write(
      [
        ...records.map((record) => this.#table.put(keyOf(record), record)),
        ...networks.map((network) => this.#usedTable.put(network.name, network)),
      ],
      durability,
    );
    for (const record of records) this.#keep(record);
    for (const network of networks) this.#used.set(network.name, network);
  }

  /** Deletes without sync: a deletion that a power cut takes back is a teardown done twice, which does no harm. */
  async delete(record: AttachmentRecord): Promise<void> {
    await this.#store.write([this.#table.delete(keyOf(record))], "memory");
    const left = this.ofPod(record.podId).filter(({ position }) => position !== record.position);
    if (left.length === 0) this.#records.delete(record.podId);
    else this.#records.set(record.podId, left);
  }

  /** Forgets a network that has nothing left on the host. */
  async forgetNetwork(name: string): Promise<void> {
    await this.#store.write([this.#usedTable.delete(name)], "memory");
    this.#used.delete(name);
  }

  #keep(record: AttachmentRecord): void {
    const others = this.ofPod(record.podId).filter(({ position }) => position !== record.position);
    const all = [...others, record].sort((a, b) => a.position - b.position);
    this.#records.set(record.podId, all);
  }
}

/** Records of before pods had several networks have no position. */
const attachmentCodec: Codec<AttachmentRecord> = {
  ...jsonCodec<AttachmentRecord>(),
  decode: (text) =>
    ({ position: 0, ...jsonCodec<Partial<AttachmentRecord>>().decode(text) }) as AttachmentRecord,
};

function keyOf({ podId, position }: AttachmentRecord): string {
  return position === 0 ? podId : `${podId}/${position}`;
}
