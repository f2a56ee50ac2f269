import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import type {
  AttachRequest,
  CreateRequest,
  ExitRecord,
  KillRequest,
  ShimEvent,
  ShimState,
  Started,
} from "../../protocol/messages.ts";
import type { Cgroup, ExecSlot } from "../cgroup/index.ts";
import { maxExecSlots, openCgroup, removeParents } from "../cgroup/index.ts";
import type { CreatedInit } from "../create/message.ts";
import { slotEnds } from "../exec/target.ts";
import type { ExecTarget } from "../exec/target.ts";
import { SIG } from "../ffi/constants.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure, failure } from "../ffi/error.ts";
import { close, unlink } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import type { Waited } from "../ffi/processes.ts";
import { kill, pidfdOpen, reapAny } from "../ffi/processes.ts";
import { nowNanos } from "../ffi/time.ts";
import { jsonArray } from "../json.ts";
import type { Context } from "../launcher/context.ts";
import { ContainerLog } from "../log/index.ts";
import { resourcesShape } from "../spec/spec-shape.ts";
import type { Connection } from "../wire/connection.ts";
import { replyError, replyOk } from "../wire/greeting.ts";
import type { Loop } from "../wire/loop.ts";
import type { Creator } from "./creation.ts";
import { Ending } from "./ending.ts";
import { runLaterHooks } from "./later-hooks.ts";
import { StartWatch } from "./start-watch.ts";
import type { StdioEnds } from "./stdio.ts";
import { ContainerStdio } from "./stdio.ts";

/** How long the freezer may take until a pause is given up, with the shim waiting. */
const freezeTimeoutMs = 1_000;

/** How long what a failed creation left may take to go. */
const undoTimeoutMs = 5_000;

/** How a start ended. */
export type StartOutcome = { readonly started: Started } | { readonly error: Failure };

/** What init left the shim with. */
export interface Made {
  readonly init: CreatedInit;
  readonly cgroup: Cgroup;
  readonly stdio: ContainerStdio;
  readonly log: ContainerLog | undefined;
  /** Refers to init as long as this process holds it, whatever becomes of the number. */
  readonly pidfd: number;
}

/**
 * ```
 *            init ready            start             execve
 *  creating ───────────► created ───────► starting ─────────► running ◄──► paused
 *     │ failure             │                │                   │            │
 *     ▼                     └────────────────┴─── init ended ────┴────────────┘
 *  undone, no shim                  ▼
 *                                stopped: record written, output drained, clients told, cgroup removed, no shim
 * ```
 */
type State =
  | { readonly status: "creating"; readonly creator: Creator }
  | { readonly status: "created"; readonly made: Made; readonly startFd: number; readonly statusFd: number }
  | { readonly status: "starting"; readonly made: Made; readonly watch: StartWatch }
  | { readonly status: "running" | "paused"; readonly made: Made }
  | { readonly status: "stopped"; readonly made: Made };

/** The one container of this shim: its state, and what can be done to it. */
export class Container {
  private readonly request: CreateRequest;
  private readonly loop: Loop;
  private readonly context: Context;
  /** By the supervisor's number. */
  private readonly execSlots = new LuaTable<number, ExecSlot | "none">();
  private execs = 0;
  /** Kernel's kills for want of memory before this shim killed init itself: those did not end the container. */
  private survivedOomKills = 0;
  private readonly gone: (this: void) => void;
  private state: State | undefined;
  private cgroup: Cgroup | undefined;
  /** Folders above the cgroup that were made for it. */
  private parents: readonly string[] = [];
  private initPid = 0;
  private startedAt = "0";
  private startProblem: Failure | undefined;
  private record: ExitRecord | undefined;
  private tell: (this: void, event: ShimEvent) => void = () => undefined;
  private removeWaiters: ((this: void) => void)[] = [];
  private startWaiters: ((this: void) => void)[] = [];
  private creator: Connection | undefined;
  private ending: Ending | undefined;

  /** `gone` is called when nothing of the container is left. */
  constructor(request: CreateRequest, loop: Loop, context: Context, gone: (this: void) => void) {
    this.request = request;
    this.loop = loop;
    this.context = context;
    this.gone = gone;
  }

  /** Has `listener` told what happens unasked. */
  onEvent(listener: (this: void, event: ShimEvent) => void): void {
    this.tell = listener;
  }

  /** Has `creator` make it; `listen` is called before the client hears of it. A failure is answered and undone. */
  create(creator: Creator, client: Connection, listen: () => void): void {
    this.creator = client;
    this.state = { status: "creating", creator };
    creator.whenPlaced((placed) => {
      if ("problem" in placed) return;
      this.cgroup = openCgroup(placed.cgroup, this.context.hierarchies);
      this.parents = placed.parents;
    });
    creator.begin(this.request, {
      onInit: (pid) => {
        this.initPid = pid;
      },
      onCreated: (init, fds) => {
        const [ok, problem] = pcall(() => {
          this.becomeCreated(init, fds);
        });
        if (ok) this.answerCreated(client, init);
        else this.undo(client, asFailure(problem));
      },
      onFailed: (problem) => {
        this.undo(client, problem);
      },
    });
    // While the creator works.
    const [ok, problem] = pcall(listen);
    if (!ok) this.undo(client, asFailure(problem));
  }

  /** Lets init go on to execve; `done` is called when that has succeeded or failed. */
  start(done: (outcome: StartOutcome) => void): void {
    const { state } = this;
    if (state?.status !== "created") throw this.wrongState("start");
    const watch = new StartWatch(this.loop, state.statusFd, (problem) => {
      this.settleStart(state.made, problem, done);
    });
    this.state = { status: "starting", made: state.made, watch };
    C.write(state.startFd, "s", 1);
    close(state.startFd);
  }

  /** Calls `then` once it is known how a start under way has ended, at once where there is none. */
  whenSettled(then: (this: void) => void): void {
    if (this.state?.status === "starting") this.startWaiters.push(then);
    else then();
  }

  /** Signals the first process or, with `all`, everything in the cgroup. */
  kill(signal: number, scope: KillRequest["scope"]): void {
    if (signal === SIG.KILL) this.noteOwnKill();
    const { cgroup } = this.alive("kill");
    if (scope === "init") {
      kill(this.initPid, signal);
      if (signal === SIG.KILL && this.state?.status === "paused") cgroup.thaw();
    } else if (signal === SIG.KILL) {
      cgroup.kill();
    } else {
      for (const pid of cgroup.pids()) kill(pid, signal);
    }
  }

  /** Changes the limits that are given; returns warnings. */
  update(resources: SpecResources): void {
    resourcesShape(resources, "resources");
    this.alive("update").cgroup.update(resources);
  }

  reopenLog(done: (problem?: Failure) => void): void {
    const { log } = this.alive("reopen-log");
    if (log === undefined) throw failure("failed-precondition", `container ${this.request.id} has no log`);
    log.reopen(done);
  }

  resize(rows: number, cols: number): void {
    this.alive("resize").stdio.resize(rows, cols);
  }

  pause(): void {
    const { state } = this;
    if (state?.status !== "running") throw this.wrongState("pause");
    state.made.cgroup.freeze(freezeTimeoutMs);
    this.state = { status: "paused", made: state.made };
  }

  resume(): void {
    const { state } = this;
    if (state?.status !== "paused") throw this.wrongState("resume");
    state.made.cgroup.thaw();
    this.state = { status: "running", made: state.made };
  }

  /** Kills what there is; `done` is called when nothing is left, right before the shim ends. */
  remove(done: (this: void) => void): void {
    this.removeWaiters.push(done);
    this.noteOwnKill();
    if (this.state === undefined || this.state.status === "stopped") return;
    this.cgroup?.kill();
    if (this.initPid > 0) kill(this.initPid, SIG.KILL);
  }

  /** Gives a client the container's stdio. */
  attach(connection: Connection, streams: AttachRequest): void {
    this.alive("attach").stdio.attach(connection, streams);
  }

  /** Takes a frame of standard input. */
  feed(connection: Connection, kind: number, payload: string): void {
    const { state } = this;
    if (state !== undefined && state.status !== "creating") state.made.stdio.feed(connection, kind, payload);
  }

  /** A client is gone. */
  forget(connection: Connection): void {
    const { state } = this;
    if (state?.status === "creating") {
      // Given up before it exists: nobody knows of it, so nothing of it may stay.
      if (connection === this.creator) this.undo(undefined, failure("internal", "given up"));
    } else if (state !== undefined) {
      state.made.stdio.detach(connection);
    }
  }

  /** A sub-cgroup for an added process, "none" where there can be none; throws where no process can be added. */
  takeExecSlot(): ExecSlot | "none" {
    const { state } = this;
    if (state?.status !== "running") throw this.wrongState("exec");
    if (this.execs >= maxExecSlots) {
      throw failure(
        "resource-exhausted",
        `exec: ${maxExecSlots} added processes run in ${this.request.id} already`,
      );
    }
    return state.made.cgroup.execSlot() ?? "none";
  }

  /** The container as an added process needs it. */
  execTarget(slot: ExecSlot | "none"): ExecTarget {
    const { init, pidfd, cgroup } = this.alive("exec");
    return { init, pidfd, cgroup, slot: slot === "none" ? undefined : slot };
  }

  /** A child took charge of an added process: the sub-cgroup is free again when that child ends. */
  superviseExec(supervisor: number, slot: ExecSlot | "none"): void {
    this.execs++;
    this.execSlots.set(supervisor, slot);
  }

  describe(): ShimState {
    const { state } = this;
    const made = state === undefined || state.status === "creating" ? undefined : state.made;
    return {
      id: this.request.id,
      status: state === undefined ? "stopped" : state.status === "starting" ? "created" : state.status,
      pid: made?.init.pid ?? 0,
      pidStartTicks: made?.init.pidStartTicks ?? 0,
      startedAt: this.startedAt,
      exit: this.record,
      droppedLogLines: made?.log?.lost.lines ?? 0,
      droppedLogBytes: made?.log?.lost.bytes ?? 0,
      warnings: jsonArray([...(made?.init.warnings ?? [])]),
    };
  }

  /** Takes the ends of all children: init's is the container's, the others' are nobody's or an added process's. */
  reapChildren(): void {
    for (let [pid, status, signal] = reapAny(); pid !== 0; [pid, status, signal] = reapAny()) {
      if (pid === this.initPid) this.initEnded({ pid, status, signal });
      else this.execEnded(pid, status, signal);
    }
  }

  /** An init that is dead by now was not ended by the kill that follows. */
  private noteOwnKill(): void {
    this.reapChildren();
    const [ok, kills] = pcall(() => this.cgroup?.oomKills() ?? 0);
    if (ok) this.survivedOomKills = kills;
  }

  /** A supervisor that ends in any other way than plainly may have killed what is in its slot. */
  private execEnded(pid: number, status: number, signal: number): void {
    const slot = this.execSlots.get(pid);
    if (slot === undefined) return;
    this.execs--;
    this.execSlots.delete(pid);
    if (slot !== "none") slot.release(signal === 0 ? (slotEnds[status] ?? "killed") : "killed");
  }

  private becomeCreated(init: CreatedInit, fds: readonly number[]): void {
    const [startFd = -1, statusFd = -1, first = -1, second = -1, stdin] = fds;
    const ends: StdioEnds = init.terminal
      ? { kind: "terminal", master: first }
      : { kind: "pipes", stdout: first, stderr: second, stdin };
    const target = this.request.log;
    const log = target === undefined ? undefined : new ContainerLog(target, this.loop);
    const stdio: ContainerStdio = new ContainerStdio(this.loop, ends, this.request.stdin, log, () => {
      this.ending?.outputEnded();
    });
    const pidfd = pidfdOpen(init.pid);
    if (pidfd === undefined || this.cgroup === undefined)
      throw failure("internal", "init died before it was ready");
    const made: Made = { init, cgroup: this.cgroup, stdio, log, pidfd };
    this.state = { status: "created", made, startFd, statusFd };
  }

  private answerCreated(client: Connection, init: CreatedInit): void {
    replyOk(client, this.request.seq, {
      pid: init.pid,
      pidStartTicks: init.pidStartTicks,
      shimPid: C.getpid(),
      warnings: jsonArray([...init.warnings]),
    });
  }

  /** Removes what a creation that failed has made, then says why, then ends. */
  private undo(client: Connection | undefined, problem: Failure): void {
    if (this.state?.status === "creating") this.state.creator.abandon();
    this.state = undefined;
    if (this.initPid > 0) kill(this.initPid, SIG.KILL);
    const [clean, left] = pcall(() => this.cgroup?.destroy(undoTimeoutMs));
    if (clean) removeParents(this.parents);
    if (!clean) print(`${this.request.id}: ${asFailure(left).message}`);
    unlink(this.request.exitRecord);
    if (client !== undefined) replyError(client, this.request.seq, problem);
    for (const done of this.removeWaiters) done();
    this.gone();
  }

  private settleStart(made: Made, problem: Failure | undefined, done: (outcome: StartOutcome) => void): void {
    this.state = { status: "running", made };
    const waiters = this.startWaiters;
    this.startWaiters = [];
    if (problem === undefined) {
      this.startedAt = nowNanos();
      done({ started: { startedAt: this.startedAt } });
    } else {
      this.startProblem = problem;
      done({ error: problem });
    }
    for (const waiter of waiters) waiter();
    if (problem === undefined) runLaterHooks("poststart", made.init, this.request.id, this.request.bundle);
  }

  private initEnded(ended: Waited): void {
    this.initPid = 0;
    const { state } = this;
    // Before it was ready the creator tells what went wrong.
    if (state === undefined || state.status === "creating" || state.status === "stopped") return;
    if (state.status === "starting") state.watch.settle();
    if (state.status === "created") {
      close(state.startFd);
      close(state.statusFd);
    }
    const { made } = state;
    this.state = { status: "stopped", made };
    this.ending = new Ending(
      {
        made,
        loop: this.loop,
        request: this.request,
        startedAt: this.startedAt,
        problem: this.startProblem,
        survivedOomKills: this.survivedOomKills,
      },
      ended,
      {
        onRecord: (record) => {
          this.record = record;
        },
        onTell: (record) => {
          this.tell({ event: "exit", record });
        },
        onGone: () => {
          for (const done of this.removeWaiters) done();
          this.gone();
        },
      },
    );
    this.ending.begin();
  }

  private alive(verb: string): Made {
    const { state } = this;
    if (state === undefined || state.status === "creating" || state.status === "stopped")
      throw this.wrongState(verb);
    return state.made;
  }

  private wrongState(verb: string): Failure {
    return failure(
      "failed-precondition",
      `${verb}: container ${this.request.id} is ${this.describe().status}`,
    );
  }
}
