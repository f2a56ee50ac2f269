import type { Container, ContainerState } from "../core/container.ts";
import { RuntimeError } from "../core/errors.ts";
import { parseContainerId, parsePodId, type ContainerId, type PodId } from "../core/ids.ts";
import type { Pod, PodState } from "../core/pod.ts";
import type { ShimConnection } from "../shim/client/index.ts";
import { jsonCodec, type Store, type Table } from "../store/index.ts";
import { Mutex } from "./mutex.ts";
import { attemptOf, describeContainer, describePod, keyOf, type AttemptName } from "./names.ts";

/** A pod at work: its record, and what only this process knows of it. */
export interface PodEntry {
  readonly id: PodId;
  readonly name: AttemptName;
  record: Pod;
  /** Stop and Remove of one pod happen one after the other. */
  readonly lifecycle: Mutex;
  /** Changes of the record happen one after the other. */
  readonly writes: Mutex;
  readonly containers: Set<ContainerEntry>;
  /** Creations under way, which Stop waits for. */
  readonly arriving: Set<Promise<unknown>>;
}

/** A container at work: its record, and what only this process knows of it. */
export interface ContainerEntry {
  readonly id: ContainerId;
  readonly pod: PodEntry;
  readonly name: AttemptName;
  record: Container;
  /** Absent before creation, after the end, and where the shim was lost. */
  shim?: ShimConnection | undefined;
  /** Start, Update and Remove of one container happen one after the other; Stop waits for nobody. */
  readonly lifecycle: Mutex;
  /** Changes of the record happen one after the other. */
  readonly writes: Mutex;
  /** Set where the record was shown and is not written yet. */
  unwritten: boolean;
  /** Resolves when the container has ended. */
  readonly ended: PromiseWithResolvers<undefined>;
  /** The stop signal is sent once, however often Stop is called. */
  stopSignalled: boolean;
}

/**
 * Every pod and container, in memory for reading and in the store for the next daemon. A record is written before it is
 * shown, but for what the shim knows as well; nothing else changes one.
 */
export class Inventory {
  readonly #store: Store;
  readonly #podTable: Table<Pod>;
  readonly #containerTable: Table<Container>;
  readonly #pods = new Map<PodId, PodEntry>();
  readonly #containers = new Map<ContainerId, ContainerEntry>();
  readonly #names = new Map<string, PodId | ContainerId>();

  constructor(store: Store) {
    this.#store = store;
    this.#podTable = store.table("pods", jsonCodec());
    this.#containerTable = store.table("containers", jsonCodec());
  }

  /** Reads all records; a damaged one is told to `onDamaged` and forgotten. */
  async load(onDamaged: (what: string, reason: string) => void): Promise<void> {
    const pods = await this.#podTable.entries((key, reason) => {
      onDamaged(`pod ${key}`, reason);
    });
    const containers = await this.#containerTable.entries((key, reason) => {
      onDamaged(`container ${key}`, reason);
    });
    for (const [key, record] of byAge(pods)) this.#addPod(parsePodId(key), record);
    for (const [key, record] of byAge(containers)) {
      const pod = this.#pods.get(record.podId);
      if (pod === undefined) onDamaged(`container ${key}`, `its pod ${record.podId} is not in the store`);
      else this.#addContainer(parseContainerId(key), pod, record);
    }
  }

  /** Every pod, those in the making included. */
  pods(): IterableIterator<PodEntry> {
    return this.#pods.values();
  }

  /** Every container, those in the making included. */
  containers(): IterableIterator<ContainerEntry> {
    return this.#containers.values();
  }

  /** The pod with an id or a unique prefix of one. */
  findPod(text: string): PodEntry | undefined {
    return find(this.#pods, text, "pod");
  }

  /** The container with an id or a unique prefix of one. */
  findContainer(text: string): ContainerEntry | undefined {
    return find(this.#containers, text, "container");
  }

  /** What holds a name. */
  named(name: AttemptName): PodEntry | ContainerEntry | undefined {
    const id = this.#names.get(keyOf(name));
    return this.#pods.get(id as PodId) ?? this.#containers.get(id as ContainerId);
  }

  /** As {@link findPod}; throws `not-found`. */
  pod(text: string): PodEntry {
    const entry = this.findPod(text);
    if (entry === undefined) throw new RuntimeError("not-found", `pod ${JSON.stringify(text)} not found`);
    return entry;
  }

  /** As {@link findContainer}; throws `not-found`. */
  container(text: string): ContainerEntry {
    const entry = this.findContainer(text);
    if (entry === undefined)
      throw new RuntimeError("not-found", `container ${JSON.stringify(text)} not found`);
    return entry;
  }

  /** Takes a pod in, its name with it; throws `already-exists` where a pod of the same metadata is there. */
  async addPod(record: Pod): Promise<PodEntry> {
    this.#refuseTakenName(record, `pod ${describePod(record.config.metadata)}`);
    const entry = this.#addPod(record.id, record);
    await this.#persistOrForget(this.#podTable.put(record.id, record), () => {
      this.#forgetPod(entry);
    });
    return entry;
  }

  /** Takes a container in, its name with it; throws `already-exists` where the pod has one of the same metadata. */
  async addContainer(pod: PodEntry, record: Container): Promise<ContainerEntry> {
    this.#refuseTakenName(record, `container ${describeContainer(pod.id, record.config.metadata)}`);
    const entry = this.#addContainer(record.id, pod, record);
    await this.#persistOrForget(this.#containerTable.put(record.id, record), () => {
      this.#forgetContainer(entry);
    });
    return entry;
  }

  /** Writes a pod's changed record, then shows it. */
  async updatePod(entry: PodEntry, change: Partial<Pod>): Promise<void> {
    await entry.writes.run(async () => {
      if (this.#pods.get(entry.id) !== entry) throw gone("pod", entry.id);
      const record = { ...entry.record, ...change };
      await this.#store.write([this.#podTable.put(entry.id, record)], "memory");
      entry.record = record;
    });
  }

  /**
   * Writes what `decide` makes of a container's record as it stands when the changes before are done, then shows it.
   * Decided to undefined, nothing changes and the answer is false: start and exit, say, may be told in any order.
   */
  async updateContainer(
    entry: ContainerEntry,
    decide: (record: Container) => Partial<Container> | undefined,
  ): Promise<boolean> {
    return entry.writes.run(async () => {
      if (this.#containers.get(entry.id) !== entry) throw gone("container", entry.id);
      const change = decide(entry.record);
      if (change === undefined) return false;
      const record = { ...entry.record, ...change };
      await this.#store.write([this.#containerTable.put(entry.id, record)], "memory");
      entry.record = record;
      entry.unwritten = false;
      return true;
    });
  }

  /**
   * As {@link updateContainer} for what the next daemon learns from the shim too: shown at once, and written behind the
   * caller's back or with the next change, whichever comes first. A failure to write it is told then, or to nobody.
   */
  async showContainer(
    entry: ContainerEntry,
    decide: (record: Container) => Partial<Container> | undefined,
  ): Promise<boolean> {
    return entry.writes.run(() => {
      if (this.#containers.get(entry.id) !== entry) throw gone("container", entry.id);
      const change = decide(entry.record);
      if (change === undefined) return Promise.resolve(false);
      entry.record = { ...entry.record, ...change };
      entry.unwritten = true;
      setImmediate(() => void this.#writeShown(entry).catch(() => undefined));
      return Promise.resolve(true);
    });
  }

  /** Forgets a pod and frees its name. */
  async removePod(entry: PodEntry): Promise<void> {
    await this.#store.write([this.#podTable.delete(entry.id)], "memory");
    this.#forgetPod(entry);
  }

  /** Forgets a container and frees its name. */
  async removeContainer(entry: ContainerEntry): Promise<void> {
    // After what is being written of it, or that would be the last word.
    await entry.writes.run(() => this.#store.write([this.#containerTable.delete(entry.id)], "memory"));
    this.#forgetContainer(entry);
  }

  /** Cuts the connections to all shims, which live on with their containers; the next daemon finds them. */
  letGo(): void {
    for (const entry of this.#containers.values()) {
      const { shim } = entry;
      // First, or the cut would be taken for the loss of the shim.
      entry.shim = undefined;
      shim?.close();
    }
  }

  async #writeShown(entry: ContainerEntry): Promise<void> {
    await entry.writes.run(async () => {
      if (!entry.unwritten || this.#containers.get(entry.id) !== entry) return;
      const { record } = entry;
      await this.#store.write([this.#containerTable.put(entry.id, record)], "memory");
      entry.unwritten = false;
    });
  }

  #addPod(id: PodId, record: Pod): PodEntry {
    const entry: PodEntry = {
      id,
      name: attemptOf(record),
      record,
      lifecycle: new Mutex(),
      writes: new Mutex(),
      containers: new Set(),
      arriving: new Set(),
    };
    this.#pods.set(id, entry);
    this.#names.set(keyOf(entry.name), id);
    return entry;
  }

  #addContainer(id: ContainerId, pod: PodEntry, record: Container): ContainerEntry {
    const entry: ContainerEntry = {
      id,
      pod,
      name: attemptOf(record),
      record,
      lifecycle: new Mutex(),
      writes: new Mutex(),
      unwritten: false,
      ended: Promise.withResolvers(),
      stopSignalled: false,
    };
    if (record.state.state === "exited") entry.ended.resolve(undefined);
    this.#containers.set(id, entry);
    this.#names.set(keyOf(entry.name), id);
    pod.containers.add(entry);
    return entry;
  }

  #forgetPod(entry: PodEntry): void {
    this.#pods.delete(entry.id);
    this.#names.delete(keyOf(entry.name));
  }

  #forgetContainer(entry: ContainerEntry): void {
    this.#containers.delete(entry.id);
    this.#names.delete(keyOf(entry.name));
    entry.pod.containers.delete(entry);
    entry.ended.resolve(undefined);
  }

  #refuseTakenName(record: Pod | Container, shown: string): void {
    const holder = this.#names.get(keyOf(attemptOf(record)));
    if (holder !== undefined) throw new RuntimeError("already-exists", `${shown} exists: ${holder}`);
  }

  async #persistOrForget(write: ReturnType<Table<never>["put"]>, forget: () => void): Promise<void> {
    try {
      await this.#store.write([write], "memory");
    } catch (error) {
      forget();
      throw error;
    }
  }
}

/** The oldest first, as they were taken in before. */
function byAge<T extends { readonly createdAt: bigint }>(records: ReadonlyMap<string, T>): [string, T][] {
  return [...records].sort(([, a], [, b]) =>
    a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0,
  );
}

/** What was removed meanwhile must not rise again. */
function gone(what: string, id: string): RuntimeError {
  return new RuntimeError("not-found", `${what} ${id} was removed meanwhile`);
}

/** True while a container has a process, blocked or running. */
export function isAlive(state: ContainerState): state is ContainerState & { readonly pid: number } {
  return state.state === "created" || state.state === "running";
}

/** The addresses and pin that a pod has or had. */
export function networkOf(state: PodState): { readonly ips: readonly string[]; readonly netns?: string } {
  return state.state === "creating" ? { ips: [] } : state.network;
}

/** Fewer digits than this are no prefix but a typing error. */
const minPrefixLength = 3;

function find<Id extends string, Entry>(
  entries: ReadonlyMap<Id, Entry>,
  text: string,
  what: string,
): Entry | undefined {
  const exact = entries.get(text as Id);
  if (exact !== undefined) return exact;
  if (text === "") throw new RuntimeError("invalid-argument", `${what} id: empty`);
  if (text.length < minPrefixLength || text.length >= 64) return undefined;
  const matches = [...entries].filter(([id]) => id.startsWith(text));
  if (matches.length > 1) {
    throw new RuntimeError("invalid-argument", `${what} id ${text} is ambiguous: ${matches.length} match`);
  }
  return matches[0]?.[1];
}
