import { RuntimeError } from "../core/errors.ts";
import type { PodId } from "../core/ids.ts";
import type { Job } from "../core/job.ts";
import { podArguments, type PodIdentity } from "./args.ts";
import { capabilityArguments, type PodNetworkRequest } from "./capability-arguments.ts";
import {
  addChain,
  checkChain,
  delChain,
  pluginCall,
  type Afterwork,
  type Attachment,
  type ChainContext,
} from "./chain.ts";
import { ipamType, type NetworkConf } from "./conf.ts";
import { formatIp, parsePrefix } from "./ip.ts";
import { KeyedQueue, type Turn } from "./keyed-queue.ts";
import type { PluginLookup } from "./lookup.ts";
import type { Plugin } from "./plugin.ts";
import { openIfPresent, PodNamespace } from "./pod-namespace.ts";
import type { AttachmentRecord, RecordBook } from "./record.ts";
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

/** What attaching needs from around it. */
export interface AttachmentsOptions {
  readonly records: RecordBook;
  readonly lookup: PluginLookup;
  readonly loopback: Plugin;
  /** The pod's interface. */
  readonly ifname: string;
  /** The network of new pods; throws where there is none. */
  readonly currentNetwork: () => NetworkConf;
  readonly onWarning: (message: string) => void;
}

/** How long a teardown may take that nobody waits for, in milliseconds. */
const teardownTimeoutMs = 60_000;

/** Sets pods' networks up and takes them down, recorded before and retried after; the life of one is in record.ts. */
export class Attachments implements AsyncDisposable {
  readonly #options: AttachmentsOptions;
  readonly #records: RecordBook;
  readonly #retries: RetryQueue;
  /** Attach and detach of one pod never overlap. */
  readonly #queue = new KeyedQueue();

  constructor(options: AttachmentsOptions) {
    this.#options = options;
    this.#records = options.records;
    this.#retries = new RetryQueue((podId) =>
      this.detach(podId, undefined, AbortSignal.timeout(teardownTimeoutMs)),
    );
  }

  /** Takes up the teardowns that an earlier daemon still owed. */
  resumeTeardowns(): void {
    for (const { podId, state } of this.#records.all()) {
      if (state.state === "leaving") this.#retries.add(podId);
    }
  }

  /** Starts no more retries, and waits for what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#retries[Symbol.asyncDispose]();
    await this.#queue.idle();
  }

  /** See PodNetworks. */
  attach(pod: NetworkedPod, netnsPath: string, job: Job, deadline: AbortSignal): Promise<PodAddresses> {
    return this.#queue.run(pod.id, deadline, async () => {
      const network = this.#options.currentNetwork();
      await this.#requirePlugins(network);
      const left = this.#records.get(pod.id);
      if (left !== undefined) await this.#tearDownWhole(left, job, deadline);
      const record: AttachmentRecord = {
        podId: pod.id,
        netns: netnsPath,
        ifname: this.#options.ifname,
        args: podArguments(pod),
        capabilities: capabilityArguments(pod),
        network,
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

  /** See PodNetworks. */
  detach(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void> {
    return this.#queue.runWithRest(podId, deadline, async (): Promise<Turn<undefined>> => {
      const record = this.#records.get(podId);
      if (record === undefined) return { value: undefined, rest: Promise.resolve() };
      const afterwork = await this.#tearDown(record, job ?? silentJob, deadline);
      // Should the daemon end before the rest is done, the next one takes it up.
      if (afterwork.length > 0) await this.#records.put(leaving(record), "memory");
      // A failure has been recorded and goes to the retries.
      const rest = this.#finish(record, afterwork).catch(() => undefined);
      return { value: undefined, rest };
    });
  }

  /** See PodNetworks. */
  async check(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void> {
    const record = this.#records.get(podId);
    if (record?.state.state !== "attached") {
      throw new RuntimeError("not-found", `pod ${podId} is attached to no network`);
    }
    await using namespace = new PodNamespace(record.netns);
    const context = this.#context(job ?? silentJob, deadline, namespace);
    await checkChain(attachmentOf(record), context, record.state.result);
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
      await this.#options.loopback.add(pluginCall(attachment, context, { type: "loopback" }, undefined));
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
    this.#retries.add(podId);
    await this.#records.put(leaving(record), "disk");
  }

  /** A plugin that is missing is found out before anything is done: its DEL could not be run either. */
  async #requirePlugins(network: NetworkConf): Promise<void> {
    for (const conf of network.plugins) {
      await this.#options.lookup(conf.type);
      const ipam = ipamType(conf);
      if (ipam !== "") await this.#options.lookup(ipam);
    }
  }

  #context(job: ChainContext["job"], signal: AbortSignal, namespace: PodNamespace | undefined): ChainContext {
    return { lookup: this.#options.lookup, job, signal, namespace };
  }
}

/** For work that no request asked for. */
export const silentJob: ChainContext["job"] = {
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

function leaving(record: AttachmentRecord): AttachmentRecord {
  const result = resultOf(record);
  return { ...record, state: { state: "leaving", ...(result === undefined ? {} : { result }) } };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The addresses of the pod's own interfaces; those that name no interface count too. */
export function addressesOf(result: CniResult): PodAddresses {
  const own = result.ips.filter(({ interface: index }) => {
    const link = index === undefined ? undefined : result.interfaces[index];
    return link === undefined || link.sandbox !== undefined;
  });
  const ips = own.map(({ address }) => formatIp(parsePrefix(address).address));
  return { ips, interfaces: result.interfaces, dns: result.dns, result };
}
