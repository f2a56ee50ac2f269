import { RuntimeError } from "../core/errors.ts";
import type { Job } from "../core/job.ts";
import {
  addChain,
  checkChain,
  delChain,
  pluginCall,
  type Afterwork,
  type Attachment,
  type ChainContext,
} from "./chain.ts";
import { ipamType } from "./conf.ts";
import { inTurn } from "./in-turn.ts";
import { KeyedQueue, type Turn } from "./keyed-queue.ts";
import type { PluginLookup } from "./lookup.ts";
import type { NetworkGate } from "./network-gate.ts";
import { podIps } from "./network-status.ts";
import { planAttachments, type NetworkedPod, type PlanSources } from "./plan.ts";
import type { Plugin } from "./plugin.ts";
import { openIfPresent, PodNamespace } from "./pod-namespace.ts";
import type { AttachmentRecord, RecordBook } from "./record.ts";
import { emptyResult, type CniDns, type CniInterface, type CniResult } from "./result.ts";
import { RetryQueue } from "./retry.ts";

/** What a pod got in its own network. */
export interface PodAddresses {
  /** Without prefix length, the primary first. */
  readonly ips: readonly string[];
  readonly interfaces: readonly CniInterface[];
  readonly dns: CniDns;
  readonly result: CniResult;
}

/** What attaching needs from around it. */
export interface AttachmentsOptions extends PlanSources {
  readonly records: RecordBook;
  readonly gate: NetworkGate;
  readonly lookup: PluginLookup;
  readonly loopback: Plugin;
  readonly onWarning: (message: string) => void;
}

/** An attachment whose DEL succeeded, and what that left for later. */
interface Torn {
  readonly record: AttachmentRecord;
  readonly afterwork: readonly Afterwork[];
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
      const records = planAttachments(pod, netnsPath, this.#options);
      await this.#requirePlugins(records);
      const left = this.#records.ofPod(pod.id);
      using _inside = await this.#options.gate.enter(networkNames([...records, ...left]), deadline);
      if (left.length > 0) await this.#finish(await this.#tearDown(left, job, deadline));
      try {
        return addressesOf(await this.#setUp(records, job, deadline));
      } catch (error) {
        await this.#undo(pod.id, job);
        throw error;
      }
    });
  }

  /** See PodNetworks. */
  detach(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void> {
    return this.#queue.runWithRest(podId, deadline, async (): Promise<Turn<undefined>> => {
      const records = this.#records.ofPod(podId);
      using inside = new DisposableStack();
      inside.use(await this.#options.gate.enter(networkNames(records), deadline));
      const torn = await this.#tearDown(records, job ?? silentJob, deadline);
      // Should the daemon end before the rest is done, the next one takes it up.
      const unfinished = torn.filter(({ afterwork }) => afterwork.length > 0);
      if (unfinished.length > 0) {
        await this.#records.put(
          unfinished.map(({ record }) => leaving(record)),
          "memory",
        );
      }
      // A failure has been recorded and goes to the retries.
      const kept = inside.move();
      const rest = this.#finish(torn)
        .catch(() => undefined)
        .finally(() => {
          kept.dispose();
        });
      return { value: undefined, rest };
    });
  }

  /** See PodNetworks. */
  async check(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void> {
    const records = this.#records.ofPod(podId);
    const [own] = records;
    if (own === undefined) throw new RuntimeError("not-found", `pod ${podId} is attached to no network`);
    await using namespace = new PodNamespace(own.netns);
    const context = this.#context(job ?? silentJob, deadline, namespace);
    for (const record of records) {
      if (record.state.state !== "attached") {
        throw new RuntimeError(
          "failed-precondition",
          `pod ${podId} is ${record.state.state} in ${record.network.name}`,
        );
      }
      await checkChain(attachmentOf(record), context, record.state.result);
    }
  }

  /**
   * Sets every attachment up; gives the first one's result. The namespace is looked at while the intents are written;
   * nothing outside of it happens before they are on disk.
   */
  async #setUp(records: readonly AttachmentRecord[], job: Job, deadline: AbortSignal): Promise<CniResult> {
    const recorded = this.#records.put(records, "disk");
    const opened = this.#openNamespace(records, job, deadline);
    const [intent, namespaceOrError] = await Promise.allSettled([recorded, opened]);
    if (intent.status === "rejected" || namespaceOrError.status === "rejected") {
      if (namespaceOrError.status === "fulfilled") await namespaceOrError.value[Symbol.asyncDispose]();
      throw intent.status === "rejected" ? intent.reason : (namespaceOrError as PromiseRejectedResult).reason;
    }
    await using namespace = namespaceOrError.value;
    const context = this.#context(job, deadline, namespace);
    let first: CniResult | undefined;
    for (const record of records) {
      const result = await addChain(attachmentOf(record), context);
      await this.#records.put([{ ...record, state: { state: "attached", result } }], "memory");
      first ??= result;
    }
    return first ?? emptyResult;
  }

  async #openNamespace(
    [own]: readonly AttachmentRecord[],
    job: Job,
    deadline: AbortSignal,
  ): Promise<PodNamespace> {
    if (own === undefined) throw new RuntimeError("internal", "a pod without a network of its own");
    const namespace = new PodNamespace(own.netns);
    try {
      const attachment = { ...attachmentOf(own), ifname: "lo" };
      const context = this.#context(job, deadline, namespace);
      await this.#options.loopback.add(pluginCall(attachment, context, { type: "loopback" }, undefined));
      return namespace;
    } catch (error) {
      await namespace[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Undoes a failed set-up under a deadline of its own: the caller's may have been what failed. */
  async #undo(podId: string, job: Job): Promise<void> {
    try {
      const deadline = AbortSignal.timeout(teardownTimeoutMs);
      await this.#finish(await this.#tearDown(this.#records.ofPod(podId), job, deadline));
    } catch (error) {
      job.note(`cni: undoing failed, it is tried again: ${messageOf(error)}`);
    }
  }

  /**
   * DEL of the recorded chains, the pod's own network last. Gives what is left to do for each; a record goes when that
   * is done too. One network's failure does not keep the others from going.
   */
  async #tearDown(
    records: readonly AttachmentRecord[],
    job: ChainContext["job"],
    deadline: AbortSignal,
  ): Promise<Torn[]> {
    const [own] = records;
    if (own === undefined) return [];
    const torn: Torn[] = [];
    try {
      await using namespace = openIfPresent(own.netns);
      const context = this.#context(job, deadline, namespace);
      await inTurn(
        records.toReversed().map((record) => async () => {
          torn.push({ record, afterwork: await delChain(attachmentOf(record), context, resultOf(record)) });
        }),
      );
      return torn;
    } catch (error) {
      const done = new Set(torn.map(({ record }) => record));
      await this.#keepForRetry(
        records.filter((record) => !done.has(record)),
        error,
      );
      await this.#finish(torn).catch(() => undefined);
      throw error;
    }
  }

  /** Does what DEL left for later, then forgets the attachments. */
  async #finish(torn: readonly Torn[]): Promise<void> {
    const context = this.#context(silentJob, AbortSignal.timeout(teardownTimeoutMs), undefined);
    await inTurn(
      torn.map(({ record, afterwork }) => async () => {
        try {
          for (const work of afterwork) await work(context);
          await this.#records.delete(record);
          if (this.#records.ofPod(record.podId).length === 0) this.#retries.remove(record.podId);
        } catch (error) {
          await this.#keepForRetry([record], error);
          throw error;
        }
      }),
    );
  }

  async #keepForRetry(records: readonly AttachmentRecord[], error: unknown): Promise<void> {
    const [first] = records;
    if (first === undefined) return;
    const { podId } = first;
    this.#options.onWarning(`cni: pod ${podId}: teardown failed and is tried again: ${messageOf(error)}`);
    this.#retries.add(podId);
    await this.#records.put(records.map(leaving), "disk");
  }

  /** A plugin that is missing is found out before anything is done: its DEL could not be run either. */
  async #requirePlugins(records: readonly AttachmentRecord[]): Promise<void> {
    for (const conf of records.flatMap(({ network }) => network.plugins)) {
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
  const { position, network, podId, netns, ifname, args, capabilities } = record;
  return { position, network, containerId: podId, netns, ifname, args, capabilities };
}

function networkNames(records: readonly AttachmentRecord[]): string[] {
  return [...new Set(records.map(({ network }) => network.name))];
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

/** A result as the pod's caller sees it. */
export function addressesOf(result: CniResult): PodAddresses {
  return { ips: podIps(result), interfaces: result.interfaces, dns: result.dns, result };
}
