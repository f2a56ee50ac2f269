import type { CreateRequest, ExitRecord } from "../../protocol/messages.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure } from "../ffi/error.ts";
import type { Waited } from "../ffi/processes.ts";
import { nowNanos } from "../ffi/time.ts";
import type { Loop } from "../wire/loop.ts";
import type { Made } from "./container.ts";
import { endedByKill, exitRecord, writeExitRecord } from "./exit-record.ts";
import { runLaterHooks } from "./later-hooks.ts";

/** How long clients wait for the last output to be in the log; then they are told, and writing goes on. */
const tellWithinMs = 1_000;

/** How long output that somebody outside of the container still holds open is read. */
const outputLingerMs = 5_000;

/** How long the log may take to be written out. */
const logTimeoutMs = 10_000;

/** Pauses between tries to remove the cgroup, and when it is given up: `destroy` or the next boot gets it. */
const firstRemovalPauseMs = 1;
const longestRemovalPauseMs = 100;
const removalTimeoutMs = 60_000;

/** What is needed to end a container. */
export interface EndingContainer {
  readonly made: Made;
  readonly loop: Loop;
  readonly request: CreateRequest;
  readonly startedAt: string;
  /** Why execve did not happen. */
  readonly problem: Failure | undefined;
  /** How often the kernel had killed in it for want of memory when the shim killed it. */
  readonly survivedOomKills: number;
}

/** Who is told of an ending's steps. */
export interface EndingHandlers {
  onRecord(this: void, record: ExitRecord): void;
  onTell(this: void, record: ExitRecord): void;
  onGone(this: void): void;
}

/**
 * From init's end to that of the shim:
 *
 * ```
 *  kill stragglers ─► record on disk ─► output to its end ─► log written ─► clients told ─► cgroup removed ─► gone
 *                                            └──── at most 1 s ────────────────┘
 * ```
 *
 * What can hang (a log's disk, a process in an uninterruptible sleep, a hook) delays what follows by a named time.
 */
export class Ending {
  private readonly container: EndingContainer;
  private readonly ended: Waited;
  private readonly handlers: EndingHandlers;
  private record: ExitRecord | undefined;
  private told = false;
  private logDone = false;
  private removed = false;
  private outputDone = false;

  constructor(container: EndingContainer, ended: Waited, handlers: EndingHandlers) {
    this.container = container;
    this.ended = ended;
    this.handlers = handlers;
  }

  begin(): void {
    const { made, loop } = this.container;
    const finishedAt = nowNanos();
    this.killStragglers();
    this.writeRecord(finishedAt);
    loop.after(tellWithinMs, () => {
      this.tellOnce();
    });
    loop.after(outputLingerMs, () => {
      this.outputEnded();
    });
    this.removeCgroup(firstRemovalPauseMs, 0);
    made.stdio.drain();
    if (made.stdio.ended) this.outputEnded();
  }

  /** No more output can come, or none is waited for any longer. */
  outputEnded(): void {
    if (this.outputDone) return;
    this.outputDone = true;
    const { made } = this.container;
    made.stdio.close();
    if (made.log === undefined) this.logWritten();
    else
      made.log.finish(logTimeoutMs, () => {
        this.logWritten();
      });
  }

  private logWritten(): void {
    this.logDone = true;
    const { made, request } = this.container;
    const { lines, bytes } = made.log?.lost ?? { lines: 0, bytes: 0 };
    if (lines > 0) print(`${request.id}: ${lines} lines (${bytes} bytes) of the log are missing`);
    this.tellOnce();
    this.goneIfDone();
  }

  private tellOnce(): void {
    if (this.told || this.record === undefined) return;
    this.told = true;
    this.handlers.onTell(this.record);
  }

  private writeRecord(finishedAt: string): void {
    const { made, request, startedAt, problem, survivedOomKills } = this.container;
    let oomKills = 0;
    this.quietly(() => {
      oomKills = made.cgroup.oomKills();
    });
    const oomKilled = endedByKill(this.ended) && oomKills > survivedOomKills;
    this.record = exitRecord(this.ended, { startedAt, finishedAt }, oomKilled, problem?.message ?? "");
    const { record } = this;
    this.quietly(() => {
      writeExitRecord(request.exitRecord, record);
    });
    this.handlers.onRecord(record);
  }

  private removeCgroup(pauseMs: number, waitedMs: number): void {
    const { made, loop } = this.container;
    const [ok, empty] = pcall(() => made.cgroup.tryRemove());
    if (!ok || empty || waitedMs > removalTimeoutMs) {
      if (!ok || !empty) print(`${this.container.request.id}: cgroup ${made.cgroup.path} stays behind`);
      this.removed = true;
      this.runPoststop();
      return;
    }
    loop.after(pauseMs, () => {
      this.killStragglers();
      this.removeCgroup(Math.min(pauseMs * 2, longestRemovalPauseMs), waitedMs + pauseMs);
    });
  }

  /** Asked first: with a pid namespace of its own all is dead already, and a kill can cost milliseconds. */
  private killStragglers(): void {
    const { cgroup } = this.container.made;
    this.quietly(() => {
      if (!cgroup.isEmpty()) cgroup.kill();
    });
  }

  private runPoststop(): void {
    const { made, request } = this.container;
    runLaterHooks("poststop", made.init, request.id, request.bundle);
    this.goneIfDone();
  }

  private goneIfDone(): void {
    if (this.logDone && this.removed) this.handlers.onGone();
  }

  /** An ending goes on whatever fails on the way; the launcher's log has it. */
  private quietly(work: () => void): void {
    const [ok, problem] = pcall(work);
    if (!ok) print(`${this.container.request.id}: ${asFailure(problem).message}`);
  }
}
