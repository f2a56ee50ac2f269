import { asRuntimeError } from "../core/errors.ts";
import type { Job } from "../core/job.ts";
import type { JobJournal } from "../store/index.ts";
import { removeContainer } from "./containers/remove.ts";
import type { ContainerEntry, PodEntry } from "./inventory.ts";
import type { AttemptName } from "./names.ts";
import { removePod, type RemovePodDeps } from "./pods/remove.ts";
import { isUnclaimed } from "./selection.ts";

/** What keeping and undoing unclaimed results needs. */
export interface UnclaimedDeps extends RemovePodDeps {
  readonly jobs: JobJournal;
  /** How long a result waits for a retry. */
  readonly unclaimedTimeoutMs: number;
}

type Entry = PodEntry | ContainerEntry;

/**
 * Pods and containers that were made and of which no caller has the id yet: mostly for a moment, and for long where the
 * caller's deadline passed. No list shows them, as the kubelet takes what it finds listed for a failed try and asks for
 * the next attempt; its retry with the same metadata gets them.
 *
 * ```
 *          made            the caller still waits, or a retry comes
 *   job ─────────► unclaimed ──────────────────────────────────────► delivered: listed, and its name is taken
 *                      │
 *                      └── nobody in time, or a higher attempt ───► undone; or delivered, where that fails: who finds
 *                                                                   it listed stops and removes it
 * ```
 *
 * Metadata alone say what a retry is: the kubelet's configurations never are the same twice (the termination log has a
 * fresh file on the host each time, variables of services come in the order of a Go map), and it finds what has really
 * changed by the hash among the annotations.
 */
export class Unclaimed implements Disposable {
  readonly #deps: UnclaimedDeps;
  /** What waits, until it is claimed or its time is over. */
  readonly #timers = new Map<Entry, NodeJS.Timeout>();
  readonly #ending = new AbortController();

  constructor(deps: UnclaimedDeps) {
    this.#deps = deps;
  }

  /** Takes over what the daemon before had; retries, which waited for this daemon too, have the whole time again. */
  resume(): void {
    const { inventory } = this.#deps;
    for (const entry of [...inventory.pods(), ...inventory.containers()]) {
      if (isUnclaimed(entry.record)) this.#keep(entry);
    }
  }

  /** What an earlier call with this name made, where it is whole; else what `create` makes. The result is its id. */
  async make<E extends Entry>(name: AttemptName, job: Job, create: () => Promise<E>): Promise<Entry["id"]> {
    const earlier = await this.#adopt(name, job);
    if (earlier !== undefined) return earlier.id;
    const lower = [...this.#timers.keys()].filter((entry) => isLower(entry.name, name));
    for (const entry of lower) await entry.lifecycle.run(() => this.#undo(entry, job));
    const made = await create();
    this.#keep(made);
    return made.id;
  }

  /**
   * Makes a result its caller's, just before the answer: from now on it is listed, so that nothing leaks when the answer
   * is lost on its way. Throws what `signal` says where the caller has gone, `not-found` for what was undone meanwhile.
   */
  async claim<E extends Entry>(entry: E, signal: AbortSignal): Promise<E> {
    if (!isUnclaimed(entry.record)) return entry;
    await entry.lifecycle.run(async () => {
      signal.throwIfAborted();
      // Callers that joined one job all get its result.
      if (isUnclaimed(entry.record)) await this.#deliver(entry);
    });
    return entry;
  }

  [Symbol.dispose](): void {
    this.#ending.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  /** Gives a result its time; one of a lower attempt has had it. */
  #keep(entry: Entry): void {
    if (this.#ending.signal.aborted) return;
    this.#stopTimer(entry);
    const timeoutMs = this.#isOutdated(entry) ? 0 : this.#deps.unclaimedTimeoutMs;
    const expire = (): void => {
      this.#timers.delete(entry);
      if (this.#isWaiting(entry)) void this.#expire(entry);
    };
    this.#timers.set(entry, setTimeout(expire, timeoutMs).unref());
  }

  /** False of what was claimed or removed meanwhile. */
  #isWaiting(entry: Entry): boolean {
    return isUnclaimed(entry.record) && this.#deps.inventory.named(entry.name) === entry;
  }

  #isOutdated(entry: Entry): boolean {
    const { inventory } = this.#deps;
    const others = "pod" in entry ? entry.pod.containers : inventory.pods();
    return [...others].some((other) => isLower(entry.name, other.name));
  }

  /** Undoing that has begun is waited for. */
  async #adopt(name: AttemptName, job: Job): Promise<Entry | undefined> {
    const entry = this.#deps.inventory.named(name);
    if (entry === undefined || !isUnclaimed(entry.record)) return undefined;
    return entry.lifecycle.run(async () => {
      if (!this.#isWaiting(entry)) return undefined;
      if (!isWhole(entry)) {
        await this.#undo(entry, job);
        return undefined;
      }
      this.#keep(entry);
      return entry;
    });
  }

  async #expire(entry: Entry): Promise<void> {
    const { jobs, logger } = this.#deps;
    const kind = "pod" in entry ? "RemoveContainer" : "RemovePodSandbox";
    const request = {
      kind,
      subject: entry.id,
      arguments: { why: "nobody claimed it" },
      kept: "journal",
    } as const;
    try {
      await jobs.run(request, this.#ending.signal, (job) =>
        entry.lifecycle.run(() => this.#undo(entry, job)),
      );
    } catch (thrown) {
      // At the daemon's end it stays for the next one.
      if (this.#ending.signal.aborted) return;
      logger.error("cannot undo what nobody claimed", {
        id: entry.id,
        error: asRuntimeError(thrown).message,
      });
    }
  }

  /** To be called with the entry's lifecycle: what was claimed or has gone until then is left alone. */
  async #undo(entry: Entry, job: Job): Promise<void> {
    if (!this.#isWaiting(entry)) return;
    this.#deps.logger.info("undoing what nobody claimed", { id: entry.id });
    try {
      if ("pod" in entry) await removeContainer(this.#deps, entry, job);
      else await removePod(this.#deps, entry, job);
      this.#stopTimer(entry);
    } catch (thrown) {
      // The next daemon goes on with it.
      if (job.signal.aborted) throw thrown;
      const error = asRuntimeError(thrown).message;
      this.#deps.logger.error("cannot undo what nobody claimed; it is listed now", { id: entry.id, error });
      await this.#deliver(entry);
    }
  }

  async #deliver(entry: Entry): Promise<void> {
    const { inventory, events } = this.#deps;
    if ("pod" in entry) await inventory.updateContainer(entry, () => ({ delivery: "delivered" }));
    else await inventory.updatePod(entry, { delivery: "delivered" });
    this.#stopTimer(entry);
    events.emit("created", entry);
    if (entry.record.state.state === "ready") events.emit("started", entry);
    else if (!isWhole(entry)) events.emit("stopped", entry);
  }

  #stopTimer(entry: Entry): void {
    clearTimeout(this.#timers.get(entry));
    this.#timers.delete(entry);
  }
}

/** True where a retry can go on with it. */
function isWhole({ record }: Entry): boolean {
  return record.state.state === "ready" || record.state.state === "created";
}

function isLower(one: AttemptName, other: AttemptName): boolean {
  return one.series === other.series && one.attempt < other.attempt;
}
