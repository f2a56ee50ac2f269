import { callConf } from "./chain.ts";
import type { NetworkConf, PluginConf } from "./conf.ts";
import type { PluginLookup } from "./lookup.ts";
import type { RecordBook } from "./record.ts";

/** What {@link Reconciler} needs from around it. */
export interface ReconcilerOptions {
  readonly lookup: PluginLookup;
  readonly records: RecordBook;
  readonly onWarning: (message: string) => void;
}

/** How long one plugin may take, in milliseconds. */
const timeoutMs = 60_000;

/** Lets plugins bring what a network's pods share in line with a configuration that is new, or that a daemon finds. */
export class Reconciler implements AsyncDisposable {
  readonly #options: ReconcilerOptions;
  readonly #closing = new AbortController();
  #last: Promise<void> = Promise.resolve();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Starts with these networks, and those of pods whose list is gone, behind what is under way. */
  start(configured: readonly NetworkConf[]): void {
    const networks = new Map(this.#options.records.all().map(({ network }) => [network.name, network]));
    for (const network of configured.toReversed()) {
      if (networks.has(network.name)) networks.set(network.name, network);
    }
    for (const network of networks.values()) {
      for (const conf of network.plugins) {
        this.#last = this.#last.then(() => this.#reconcile(network, conf));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#last;
  }

  async #reconcile(network: NetworkConf, conf: PluginConf): Promise<void> {
    if (this.#closing.signal.aborted) return;
    const { lookup, onWarning } = this.#options;
    try {
      const plugin = await lookup(conf.type);
      await plugin.reconcile?.({
        conf: callConf(network, conf, {}),
        signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(timeoutMs)]),
        note: () => undefined,
        delegate: lookup,
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      onWarning(`cni: network ${network.name}: not brought in line: ${reason}`);
    }
  }
}
