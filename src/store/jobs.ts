import { randomBytes } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import { asRuntimeError, RuntimeError } from "../core/errors.ts";
import type { Job, PartProgress } from "../core/job.ts";
import { maxJobNoteBytes } from "../core/limits.ts";
import { jsonCodec } from "./codec.ts";
import type { Store, Table, Write } from "./store.ts";

/** A step of a job, with what it left to read. */
export interface JobStage {
  readonly name: string;
  /** Nanoseconds since the epoch. */
  readonly startedAt: bigint;
  /** Absent while it runs. */
  readonly durationNs?: bigint;
  readonly notes: readonly string[];
  readonly error?: string;
}

/**
 * The life of a job.
 *
 * ```
 *            ┌──► done
 *   running ─┼──► failed    the work threw
 *            └──► aborted   the daemon ended meanwhile
 * ```
 */
export type JobState = "running" | "done" | "failed" | "aborted";

/** One request, as `berth jobs` shows it. */
export interface JobRecord {
  readonly id: string;
  /** The RPC's name. */
  readonly kind: string;
  /** What it works on: the name or id of a pod, container or image. */
  readonly subject: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly state: JobState;
  readonly startedAt: bigint;
  readonly endedAt?: bigint;
  readonly stages: readonly JobStage[];
  /** Only while it runs, and never on disk. */
  readonly progress?: readonly PartProgress[];
  readonly result: string;
  readonly error: string;
}

/** A job that can also tell how far it is. */
export interface ReportingJob extends Job {
  /** Gives what tells how far its parts are: asked whenever the job is listed, until it ends. */
  progress(look: () => readonly PartProgress[]): void;
}

/** What to run, and how it is found again. */
export interface JobRequest {
  readonly kind: string;
  readonly subject: string;
  readonly arguments?: Readonly<Record<string, string>>;
  /** A call with the key of a running job joins it in place of starting another. */
  readonly key?: string;
  /** `journal` survives the daemon; `memory` is for work that leaves nothing behind, such as a probe. */
  readonly kept: "journal" | "memory";
}

/** Ended jobs that are remembered, of each kind of keeping; the oldest goes first. Probes push no pod's story out. */
export const maxEndedJobs = { journal: 1000, memory: 200 } as const;
/** Writes that wait for the store; where it takes none, the oldest are lost. */
const maxUnwritten = 1000;
/** Notes that one stage keeps. */
const maxNotesPerStage = 64;

interface Running {
  record: JobRecord;
  look?: () => readonly PartProgress[];
  readonly abort: AbortController;
  readonly outcome: Promise<unknown>;
}

/** Runs jobs, lets callers join them, and remembers what they did. */
export class JobJournal {
  readonly #store: Store;
  readonly #table: Table<JobRecord>;
  readonly #clock: Clock;
  readonly #running = new Map<string, Running>();
  readonly #byKey = new Map<string, Running>();
  /** By id, the oldest first. */
  readonly #ended = { journal: new Map<string, JobRecord>(), memory: new Map<string, JobRecord>() };
  #unwritten: Write[] = [];
  #writing: Promise<void> | undefined;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#table = store.table("jobs", jsonCodec());
    this.#clock = clock;
  }

  /** Reads the journal; what ran when the last daemon ended is marked aborted. */
  async load(): Promise<readonly JobRecord[]> {
    const damaged: string[] = [];
    const records = await this.#table.entries((key) => damaged.push(key));
    const interrupted: JobRecord[] = [];
    for (const [id, record] of records) {
      const ended: JobRecord =
        record.state === "running"
          ? { ...record, state: "aborted", endedAt: this.#clock(), error: "the daemon ended while it ran" }
          : record;
      if (ended !== record) interrupted.push(ended);
      this.#ended.journal.set(id, ended);
    }
    const writes = [
      ...interrupted.map((record) => this.#table.put(record.id, record)),
      ...damaged.map((key) => this.#table.delete(key)),
      ...this.#forgetOldest(),
    ];
    if (writes.length > 0) await this.#store.write(writes, "memory");
    return interrupted;
  }

  /**
   * Runs `work` as a job, or joins the running job with the same key. When `signal` aborts, this caller stops waiting
   * and gets its reason; the job goes on. A caller that has gone already starts nothing.
   */
  async run<T>(
    request: JobRequest,
    signal: AbortSignal,
    work: (job: ReportingJob) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const joined = request.key === undefined ? undefined : this.#byKey.get(request.key);
    const running = joined ?? this.#start(request, work);
    return abandonable(running.outcome as Promise<T>, signal);
  }

  /** Jobs, newest first: those that run, then those that ended. */
  list(): readonly JobRecord[] {
    const { journal, memory } = this.#ended;
    const running = [...this.#running.values()].map(({ record, look }): JobRecord =>
      look === undefined ? record : { ...record, progress: look() },
    );
    return [...running, ...journal.values(), ...memory.values()].sort((a, b) =>
      a.startedAt < b.startedAt ? 1 : a.startedAt > b.startedAt ? -1 : 0,
    );
  }

  /** Waits until all that there is to write down is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Aborts what runs and waits until it has ended, and that is written down. */
  async close(): Promise<void> {
    const outcomes = [...this.#running.values()].map((running) => {
      running.abort.abort(new RuntimeError("unavailable", "the daemon is ending"));
      return running.outcome;
    });
    await Promise.allSettled(outcomes);
    await this.flush();
  }

  #start<T>(request: JobRequest, work: (job: ReportingJob) => Promise<T>): Running {
    const abort = new AbortController();
    const startedAt = this.#clock();
    const id = newJobId(startedAt);
    const running: Running = {
      record: {
        id,
        kind: request.kind,
        subject: request.subject,
        arguments: request.arguments ?? {},
        state: "running",
        startedAt,
        stages: [],
        result: "",
        error: "",
      },
      abort,
      outcome: Promise.resolve().then(() => this.#perform(running, request, work)),
    };
    this.#running.set(id, running);
    if (request.key !== undefined) this.#byKey.set(request.key, running);
    // A caller that left must not turn a failure into an unhandled rejection.
    running.outcome.catch(() => undefined);
    return running;
  }

  async #perform<T>(
    running: Running,
    request: JobRequest,
    work: (job: ReportingJob) => Promise<T>,
  ): Promise<T> {
    let result: T;
    try {
      if (request.kept === "journal") this.#writeBehind([this.#table.put(running.record.id, running.record)]);
      result = await work(this.#jobOf(running));
    } catch (thrown) {
      const error = asRuntimeError(thrown);
      this.#end(running, request, { state: "failed", error: error.message });
      throw error;
    }
    this.#end(running, request, { state: "done", result: typeof result === "string" ? result : "" });
    return result;
  }

  #end(running: Running, request: JobRequest, outcome: Partial<JobRecord>): void {
    const record: JobRecord = { ...running.record, ...outcome, endedAt: this.#clock() };
    running.record = record;
    this.#running.delete(record.id);
    if (request.key !== undefined) this.#byKey.delete(request.key);
    this.#ended[request.kept].set(record.id, record);
    const writes = this.#forgetOldest();
    if (request.kept === "journal") writes.push(this.#table.put(record.id, record));
    this.#writeBehind(writes);
  }

  /**
   * Writes when the writes before are done, many at once. Nobody waits for it: the journal tells of the work and undoes
   * none, and a disk that is full or slow must not hold up what frees it.
   */
  #writeBehind(writes: readonly Write[]): void {
    this.#unwritten.push(...writes);
    this.#unwritten.splice(0, this.#unwritten.length - maxUnwritten);
    if (this.#unwritten.length > 0) this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    while (this.#unwritten.length > 0) {
      const writes = this.#unwritten;
      this.#unwritten = [];
      await this.#store.write(writes, "memory").catch(() => undefined);
    }
    this.#writing = undefined;
  }

  #forgetOldest(): Write[] {
    const writes: Write[] = [];
    for (const kept of ["journal", "memory"] as const) {
      const ended = this.#ended[kept];
      for (const id of ended.keys()) {
        if (ended.size <= maxEndedJobs[kept]) break;
        ended.delete(id);
        if (kept === "journal") writes.push(this.#table.delete(id));
      }
    }
    return writes;
  }

  #jobOf(running: Running): ReportingJob {
    return {
      id: running.record.id,
      signal: running.abort.signal,
      stage: async (name, work) => {
        const stage = { name, startedAt: this.#clock(), notes: [] };
        const index = running.record.stages.length;
        running.record = { ...running.record, stages: [...running.record.stages, stage] };
        const started = process.hrtime.bigint();
        try {
          const result = await work();
          amendStage(running, index, { durationNs: process.hrtime.bigint() - started });
          return result;
        } catch (thrown) {
          const error = asRuntimeError(thrown).message;
          amendStage(running, index, { durationNs: process.hrtime.bigint() - started, error });
          throw thrown;
        }
      },
      note: (text) => {
        const index = running.record.stages.findLastIndex((stage) => stage.durationNs === undefined);
        const stage = running.record.stages[index];
        if (stage === undefined || stage.notes.length >= maxNotesPerStage) return;
        amendStage(running, index, { notes: [...stage.notes, text.slice(0, maxJobNoteBytes)] });
      },
      progress: (look) => {
        running.look = look;
      },
    };
  }
}

/** Sorts by age: milliseconds since the epoch, then chance. */
function newJobId(startedAt: bigint): string {
  return (startedAt / 1_000_000n).toString(16).padStart(12, "0") + randomBytes(4).toString("hex");
}

function amendStage(running: Running, index: number, change: Partial<JobStage>): void {
  const stages = running.record.stages.map((stage, at) => (at === index ? { ...stage, ...change } : stage));
  running.record = { ...running.record, stages };
}

/** Waits for `outcome`, or throws the signal's reason as soon as it aborts. */
async function abandonable<T>(outcome: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(asRuntimeError(signal.reason));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([outcome, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
