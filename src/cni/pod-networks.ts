import { RuntimeError } from "../core/errors.ts";
import type { PodId } from "../core/ids.ts";
import type { Job } from "../core/job.ts";
import type { Store } from "../store/index.ts";
import { podArguments, type PodIdentity } from "./args.ts";
import { capabilityArguments, type PodNetworkRequest } from "./capability-arguments.ts";
import {
  addChain,
  callConf,
  checkChain,
  delChain,
  pluginCall,
  type Afterwork,
  type Attachment,
  type ChainContext,
} from "./chain.ts";
import { ConfFolder, type NetworkStatus } from "./conf-folder.ts";
import type { NetworkConf } from "./conf.ts";
import { openHostNetwork } from "./host-network.ts";
import { parsePrefix, formatIp } from "./ip.ts";
import { KeyedQueue, type Turn } from "./keyed-queue.ts";
import { pluginLookup, type PluginLookup } from "./lookup.ts";
import type { Plugin } from "./plugin.ts";
import { bridgePlugin } from "./plugins/bridge.ts";
import { hostLocalPlugin } from "./plugins/host-local.ts";
import { loopbackPlugin } from "./plugins/loopback.ts";
import { openIfPresent, PodNamespace } from "./pod-namespace.ts";
import { RecordBook, type AttachmentRecord, type AttachmentState } from "./record.ts";
import type { CniDns, CniInterface, CniResult } from "./result.ts";
import { RetryQueue } from "./retry.ts";

/** A pod that is to get a network. */
export interface NetworkedPod extends PodIdentity, PodNetworkRequest {
  readonly id: PodId;
}

/** What a pod got. */
export interface PodAddresses {
  /** Without prefix length, the primary first. */
  readonly ips: readonly string[];
  readonly interfaces: readonly CniInterface[];
  readonly dns: CniDns;
  readonly result: CniResult;
}

/** Where things are, and whom to tell. */
export interface PodNetworksOptions {
  /** Folder of configurations, such as /etc/cni/net.d. */
  readonly confDir: string;
  /** Folders of plugin programs, such as /opt/cni/bin. */
  readonly binDirs: readonly string[];
  readonly store: Store;
  /** The environment of plugin programs and of nft; PATH at least. */
  readonly environment: Readonly<Record<string, string>>;
  /** The pod's interface; `eth0` where absent. */
  readonly ifname?: string;
  readonly onInfo: (message: string) => void;
  readonly onWarning: (message: string) => void;
}

/** An attachment as reconciliation sees it. */
export interface AttachmentEntry {
  readonly podId: string;
  readonly netns: string;
  readonly network: string;
  readonly state: AttachmentState["state"];
}

/** Attaches pods to the network that the configuration folder names, and takes them off again. */
export interface PodNetworks extends AsyncDisposable {
  /** The NetworkReady condition; from memory. */
  status(): NetworkStatus;
  /**
   * Attaches a pod: loopback and the chain of plugins. What an earlier, unfinished attach left is undone first. A
   * failure is undone, or recorded and tried again until it is.
   */
  attach(pod: NetworkedPod, netnsPath: string, job: Job, deadline: AbortSignal): Promise<PodAddresses>;
  /**
   * Takes a pod off, by what was recorded when it was attached. Succeeds where there is nothing to do; works when the
   * namespace is gone. A failure is thrown, and tried again in the background until it succeeds.
   */
  detach(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void>;
  /** Runs CHECK; throws what is wrong with the pod's network. */
  check(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void>;
  /** Every attachment that has a record, for reconciliation at start: detach those whose pod is gone. */
  entries(): AttachmentEntry[];
  /** What a pod got, from its record. */
  addresses(podId: string): PodAddresses | undefined;
  /** CNI GC: frees what plugins still hold for pods without a record. */
  collectGarbage(job: Job | undefined, deadline: AbortSignal): Promise<void>;
  /** Removes the masquerading rules of networks without pods. */
  removeUnusedRules(deadline: AbortSignal): Promise<void>;
}

/** How long a teardown may take that nobody waits for, in milliseconds. */
const teardownTimeoutMs = 60_000;

/** Opens the host's sockets, reads the records and the configuration. Call it once, on the main thread. */
export async function openPodNetworks(options: PodNetworksOptions): Promise<PodNetworks> {
  await using opening = new AsyncDisposableStack();
  const host = opening.use(openHostNetwork(options.environment));
  const records = await RecordBook.open(options.store, (key, reason) => {
    options.onWarning(`cni: the record of pod ${key} is damaged and passed over: ${reason}`);
  });
  const confFolder = opening.use(
    await ConfFolder.open(options.confDir, ({ file, bad }) => {
      for (const { reason } of bad) options.onWarning(`cni: passed over: ${reason}`);
      if (file !== undefined) options.onInfo(`cni: new pods use ${file}`);
    }),
  );
  const loopback = loopbackPlugin();
  const lookup = pluginLookup([loopback, bridgePlugin(host), hostLocalPlugin()], {
    folders: options.binDirs,
    environment: options.environment,
  });
  const networks = new OpenPodNetworks(options, records, confFolder, loopback, lookup, (network, deadline) =>
    host.masquerade.remove(network, deadline),
  );
  opening.use(networks.background());
  networks.resumeTeardowns();
  const resources = opening.move();
  return Object.assign(networks, { [Symbol.asyncDispose]: () => resources.disposeAsync() });
}

class OpenPodNetworks {
  readonly #retries: RetryQueue;
  readonly #options: PodNetworksOptions;
  readonly #records: RecordBook;
  readonly #confFolder: ConfFolder;
  readonly #loopback: Plugin;
  readonly #lookup: PluginLookup;
  readonly #removeRules: (network: string, deadline: AbortSignal) => Promise<void>;
  /** Attach and detach of one pod never overlap. */
  readonly #queue = new KeyedQueue();

  constructor(
    options: PodNetworksOptions,
    records: RecordBook,
    confFolder: ConfFolder,
    loopback: Plugin,
    lookup: PluginLookup,
    removeRules: (network: string, deadline: AbortSignal) => Promise<void>,
  ) {
    this.#options = options;
    this.#records = records;
    this.#confFolder = confFolder;
    this.#loopback = loopback;
    this.#lookup = lookup;
    this.#removeRules = removeRules;
    this.#retries = new RetryQueue((podId) =>
      this.detach(podId, undefined, AbortSignal.timeout(teardownTimeoutMs)),
    );
  }

  /** What must come to its end before the sockets are closed. */
  background(): AsyncDisposable {
    return {
      [Symbol.asyncDispose]: async () => {
        await this.#retries[Symbol.asyncDispose]();
        await this.#queue.idle();
      },
    };
  }

  /** Takes up the teardowns that an earlier daemon still owed. */
  resumeTeardowns(): void {
    for (const { podId, state } of this.#records.all())
      if (state.state === "leaving") this.#retries.add(podId);
  }

  status(): NetworkStatus {
    return this.#confFolder.status();
  }

  attach(pod: NetworkedPod, netnsPath: string, job: Job, deadline: AbortSignal): Promise<PodAddresses> {
    return this.#queue.run(pod.id, async () => {
      const left = this.#records.get(pod.id);
      if (left !== undefined) await this.#tearDownWhole(left, job, deadline);
      const record: AttachmentRecord = {
        podId: pod.id,
        netns: netnsPath,
        ifname: this.#options.ifname ?? "eth0",
        args: podArguments(pod),
        capabilities: capabilityArguments(pod),
        network: this.#confFolder.current(),
        state: { state: "intent" },
      };
      try {
        const result = await this.#setUp(record, job, deadline);
        await this.#records.put({ ...record, state: { state: "attached", result } }, "memory");
        return addressesOf(result);
      } catch (error) {
        await this.#undo(record, job);
        throw error;
      }
    });
  }

  detach(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void> {
    return this.#queue.runWithRest(podId, async (): Promise<Turn<undefined>> => {
      const record = this.#records.get(podId);
      if (record === undefined) return { value: undefined, rest: Promise.resolve() };
      const afterwork = await this.#tearDown(record, job ?? silentJob, deadline);
      // A failure has been recorded and goes to the retries.
      const rest = this.#finish(record, afterwork).catch(() => undefined);
      return { value: undefined, rest };
    });
  }

  async check(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void> {
    const record = this.#records.get(podId);
    if (record?.state.state !== "attached") {
      throw new RuntimeError("not-found", `pod ${podId} is attached to no network`);
    }
    await using namespace = new PodNamespace(record.netns);
    const context = this.#context(job ?? silentJob, deadline, namespace);
    await checkChain(attachmentOf(record), context, record.state.result);
  }

  entries(): AttachmentEntry[] {
    return this.#records.all().map(({ podId, netns, network, state }) => ({
      podId,
      netns,
      network: network.name,
      state: state.state,
    }));
  }

  addresses(podId: string): PodAddresses | undefined {
    const record = this.#records.get(podId);
    return record?.state.state === "attached" ? addressesOf(record.state.result) : undefined;
  }

  async collectGarbage(job: Job | undefined, deadline: AbortSignal): Promise<void> {
    const run = job ?? silentJob;
    const note = (text: string): void => {
      run.note(text);
    };
    for (const network of this.#knownNetworks().filter(({ disableGc }) => !disableGc)) {
      const valid = this.#records
        .all()
        .filter((record) => record.network.name === network.name)
        .map(({ podId, ifname }) => ({ containerID: podId, ifname }));
      for (const conf of network.plugins) {
        await run.stage(`cni ${conf.type} GC`, async () => {
          const plugin = await this.#lookup(conf.type);
          const call = { conf: callConf(network, conf, {}), signal: deadline, note, delegate: this.#lookup };
          await plugin.gc(call, valid);
        });
      }
    }
  }

  async removeUnusedRules(deadline: AbortSignal): Promise<void> {
    const used = new Set(this.#records.all().map(({ network }) => network.name));
    for (const { name } of this.#knownNetworks())
      if (!used.has(name)) await this.#removeRules(name, deadline);
  }

  /** The namespace is looked at while the intent is written; nothing outside of it happens before that is on disk. */
  async #setUp(record: AttachmentRecord, job: Job, deadline: AbortSignal): Promise<CniResult> {
    const recorded = this.#records.put(record, "disk");
    const opened = this.#openNamespace(record, job, deadline);
    const [intent, namespaceOrError] = await Promise.allSettled([recorded, opened]);
    if (intent.status === "rejected" || namespaceOrError.status === "rejected") {
      if (namespaceOrError.status === "fulfilled") await namespaceOrError.value[Symbol.asyncDispose]();
      throw intent.status === "rejected" ? intent.reason : (namespaceOrError as PromiseRejectedResult).reason;
    }
    await using namespace = namespaceOrError.value;
    return await addChain(attachmentOf(record), this.#context(job, deadline, namespace));
  }

  async #openNamespace(record: AttachmentRecord, job: Job, deadline: AbortSignal): Promise<PodNamespace> {
    const namespace = new PodNamespace(record.netns);
    try {
      const attachment = { ...attachmentOf(record), ifname: "lo" };
      const context = this.#context(job, deadline, namespace);
      await this.#loopback.add(pluginCall(attachment, context, { type: "loopback" }, undefined));
      return namespace;
    } catch (error) {
      await namespace[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Undoes a failed set-up under a deadline of its own: the caller's may have been what failed. */
  async #undo(record: AttachmentRecord, job: Job): Promise<void> {
    try {
      await this.#tearDownWhole(record, job, AbortSignal.timeout(teardownTimeoutMs));
    } catch (error) {
      job.note(`cni: undoing failed, it is tried again: ${messageOf(error)}`);
    }
  }

  async #tearDownWhole(
    record: AttachmentRecord,
    job: ChainContext["job"],
    deadline: AbortSignal,
  ): Promise<void> {
    await this.#finish(record, await this.#tearDown(record, job, deadline));
  }

  /** DEL of the recorded chain. Gives what is left to do; the record goes when that is done too. */
  async #tearDown(
    record: AttachmentRecord,
    job: ChainContext["job"],
    deadline: AbortSignal,
  ): Promise<Afterwork[]> {
    try {
      await using namespace = openIfPresent(record.netns);
      const context = this.#context(job, deadline, namespace);
      return await delChain(attachmentOf(record), context, resultOf(record));
    } catch (error) {
      await this.#keepForRetry(record, error);
      throw error;
    }
  }

  /** Does what DEL left for later, then forgets the attachment. */
  async #finish(record: AttachmentRecord, afterwork: readonly Afterwork[]): Promise<void> {
    try {
      const context = this.#context(silentJob, AbortSignal.timeout(teardownTimeoutMs), undefined);
      for (const work of afterwork) await work(context);
      await this.#records.delete(record.podId);
      this.#retries.remove(record.podId);
    } catch (error) {
      await this.#keepForRetry(record, error);
      throw error;
    }
  }

  async #keepForRetry(record: AttachmentRecord, error: unknown): Promise<void> {
    const { podId } = record;
    this.#options.onWarning(`cni: pod ${podId}: teardown failed and is tried again: ${messageOf(error)}`);
    const result = resultOf(record);
    const state = { state: "leaving" as const, ...(result === undefined ? {} : { result }) };
    this.#retries.add(podId);
    await this.#records.put({ ...record, state }, "disk");
  }

  #context(job: ChainContext["job"], signal: AbortSignal, namespace: PodNamespace | undefined): ChainContext {
    return { lookup: this.#lookup, job, signal, namespace };
  }

  /** The current network and those that records still name, each once. */
  #knownNetworks(): NetworkConf[] {
    const byName = new Map(this.#records.all().map(({ network }) => [network.name, network]));
    if (this.status().ready) byName.set(this.#confFolder.current().name, this.#confFolder.current());
    return [...byName.values()];
  }
}

const silentJob: ChainContext["job"] = {
  stage: (_name, work) => work(),
  note: () => undefined,
};

function attachmentOf(record: AttachmentRecord): Attachment {
  const { network, podId, netns, ifname, args, capabilities } = record;
  return { network, containerId: podId, netns, ifname, args, capabilities };
}

function resultOf(record: AttachmentRecord): CniResult | undefined {
  return record.state.state === "intent" ? undefined : record.state.result;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The addresses of the pod's own interfaces; those that name no interface count too. */
function addressesOf(result: CniResult): PodAddresses {
  const own = result.ips.filter(({ interface: index }) => {
    const link = index === undefined ? undefined : result.interfaces[index];
    return link === undefined || link.sandbox !== undefined;
  });
  const ips = own.map(({ address }) => formatIp(parsePrefix(address).address));
  return { ips, interfaces: result.interfaces, dns: result.dns, result };
}
