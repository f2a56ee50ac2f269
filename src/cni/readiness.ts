import { callConf } from "./chain.ts";
import { ipamType, type NetworkConf } from "./conf.ts";
import type { PluginLookup } from "./lookup.ts";
import { isVersionAtLeast } from "./version.ts";

/** What {@link Readiness} needs from around it. */
export interface ReadinessOptions {
  readonly lookup: PluginLookup;
  readonly onWarning: (message: string) => void;
  /** How long one plugin may take to answer, in milliseconds; {@link defaultStatusTimeoutMs} where absent. */
  readonly statusTimeoutMs?: number;
}

/** What the plugins of a network last said of themselves; `failure` is empty where all can do their work. */
interface Verdict {
  readonly network: NetworkConf;
  /** Milliseconds on the process's own clock. */
  readonly askedAt: number;
  readonly failure: string;
}

/** A verdict is taken for granted this long, in milliseconds: nobody makes plugins run more often by asking. */
const minIntervalMs = 10_000;
const defaultStatusTimeoutMs = 10_000;

/**
 * CNI STATUS: whether the plugins of a network of version 1.1 or newer could serve an ADD. Answers from memory; an old
 * answer has the plugins asked anew behind it.
 */
export class Readiness implements AsyncDisposable {
  readonly #options: ReadinessOptions;
  readonly #closing = new AbortController();
  #verdict: Verdict | undefined;
  #asking: { readonly network: NetworkConf; readonly done: Promise<void> } | undefined;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Why the network is not ready; empty where it is. */
  failure(network: NetworkConf): string {
    if (!isVersionAtLeast(network.cniVersion, "1.1.0")) return "";
    const verdict = this.#verdict?.network === network ? this.#verdict : undefined;
    if (verdict === undefined || performance.now() - verdict.askedAt > minIntervalMs) this.#ask(network);
    return verdict?.failure ?? `network ${network.name}: its plugins have not told their STATUS yet`;
  }

  /** Kills what is being asked. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#asking?.done;
  }

  #ask(network: NetworkConf): void {
    if (this.#asking?.network === network || this.#closing.signal.aborted) return;
    const asking = { network, done: this.#askAll(network) };
    this.#asking = asking;
    void asking.done.then(() => {
      if (this.#asking === asking) this.#asking = undefined;
    });
  }

  async #askAll(network: NetworkConf): Promise<void> {
    const askedAt = performance.now();
    let failure = "";
    try {
      for (const conf of network.plugins) await this.#askOne(network, conf);
    } catch (error) {
      failure = `network ${network.name}: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (this.#closing.signal.aborted) return;
    if (failure !== "" && failure !== this.#verdict?.failure) this.#options.onWarning(`cni: ${failure}`);
    this.#verdict = { network, askedAt, failure };
  }

  async #askOne(network: NetworkConf, conf: NetworkConf["plugins"][number]): Promise<void> {
    const { lookup, statusTimeoutMs = defaultStatusTimeoutMs } = this.#options;
    const call = {
      conf: callConf(network, conf, {}),
      signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(statusTimeoutMs)]),
      note: () => undefined,
      delegate: lookup,
    };
    const plugin = await lookup(conf.type);
    if (plugin.status !== undefined) return plugin.status(call);
    const ipam = ipamType(conf);
    if (ipam !== "") await (await lookup(ipam)).status?.(call);
  }
}
