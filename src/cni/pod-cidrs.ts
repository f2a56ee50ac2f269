import { jsonCodec, type Store, type Table } from "../store/index.ts";
import { formatPrefix, networkOf, parsePrefix } from "./ip.ts";

const key = "pod-cidrs";

/** The node's ranges of pod addresses as the kubelet told them; remembered, for it does not tell a new daemon again. */
export class PodCidrs {
  readonly #store: Store;
  readonly #table: Table<readonly string[]>;
  #cidrs: readonly string[];

  /** Reads what was told to an earlier daemon. */
  static async open(store: Store): Promise<PodCidrs> {
    const table: Table<readonly string[]> = store.table("node", jsonCodec());
    return new PodCidrs(store, table, (await table.get(key)) ?? []);
  }

  private constructor(store: Store, table: Table<readonly string[]>, cidrs: readonly string[]) {
    this.#store = store;
    this.#table = table;
    this.#cidrs = cidrs;
  }

  /** In the order in which they were told; empty where they never were. */
  current(): readonly string[] {
    return this.#cidrs;
  }

  /** Takes a list with commas between; throws `invalid-argument` for what is no CIDR. Empty changes nothing. */
  async set(text: string): Promise<void> {
    const parts = text.split(",").map((part) => part.trim());
    const cidrs = parts
      .filter((part) => part !== "")
      .map((part) => formatPrefix(networkOf(parsePrefix(part))));
    if (cidrs.length === 0 || cidrs.join() === this.#cidrs.join()) return;
    await this.#store.write([this.#table.put(key, cidrs)], "memory");
    this.#cidrs = cidrs;
  }
}
