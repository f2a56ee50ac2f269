import { EPOLL_CTL } from "../ffi/constants.ts";
import { asFailure, sysError } from "../ffi/error.ts";
import { ReadyList } from "../ffi/epoll.ts";
import { C } from "../ffi/libc.ts";
import type { EpollEvent } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";
import { monotonicMs } from "../ffi/time.ts";
import { GarbageBound } from "../garbage.ts";

/** Events taken from the kernel at once. */
const maxEventsPerWait = 32;
const epollCloexec = 0x80000;

/** Called with the EPOLL.* bits that are set. */
export type ReadyHandler = (this: void, events: number) => void;

/** A deadline; pass it to {@link Loop.start} or {@link Loop.cancel}. */
export interface Timer {
  atMs: number;
  readonly run: (this: void) => void;
}

/** Waits for descriptors and deadlines, and calls whoever asked; one thread, level-triggered (epoll(7)). */
export class Loop {
  private readonly epoll: number;
  private readonly handlers = new LuaTable<number, ReadyHandler>();
  private readonly ready = new ReadyList(maxEventsPerWait);
  private readonly change = struct<EpollEvent>("epoll_event_buf");
  private readonly timers: Timer[] = [];
  private stopped = false;

  constructor() {
    this.epoll = C.epoll_create1(epollCloexec);
    if (this.epoll < 0) throw sysError("epoll_create1");
  }

  /** Calls `handler` whenever one of `events` is true of `fd`. */
  add(fd: number, events: number, handler: ReadyHandler): void {
    this.control(EPOLL_CTL.ADD, fd, events);
    this.handlers.set(fd, handler);
  }

  /** Waits for other events from now on. */
  modify(fd: number, events: number): void {
    this.control(EPOLL_CTL.MOD, fd, events);
  }

  /** Forgets `fd`; call it before closing. One that is not known is fine. */
  remove(fd: number): void {
    if (!this.handlers.has(fd)) return;
    this.handlers.delete(fd);
    this.control(EPOLL_CTL.DEL, fd, 0);
  }

  /** Calls `run` once, `ms` from now. */
  after(ms: number, run: (this: void) => void): Timer {
    const timer: Timer = { atMs: 0, run };
    this.start(timer, ms);
    return timer;
  }

  /** As {@link after} with a timer that was made before and is not running: whoever waits often makes no garbage. */
  start(timer: Timer, ms: number): void {
    timer.atMs = monotonicMs() + ms;
    this.timers.push(timer);
  }

  /** Takes a deadline back; one that has passed is fine. */
  cancel(timer: Timer | undefined): void {
    const { timers } = this;
    for (let index = 0; index < timers.length; index++) {
      if (timers[index] === timer) {
        this.removeTimer(index);
        return;
      }
    }
  }

  /** Makes {@link run} return. */
  stop(): void {
    this.stopped = true;
  }

  /** Serves until {@link stop}. */
  run(): void {
    const garbage = new GarbageBound();
    while (!this.stopped) {
      this.turn();
      garbage.check();
    }
  }

  /** Closes the epoll descriptor: what a forked child does that wants none of its parent's loop. */
  close(): void {
    C.close(this.epoll);
  }

  private turn(): void {
    const { ready } = this;
    const count = ready.wait(this.epoll, this.timeoutMs());
    for (let i = 0; i < count; i++) {
      // Looked up late: an earlier handler of this round may have removed it.
      const handler = this.handlers.get(ready.fd(i));
      if (handler !== undefined) guarded(handler, ready.events(i));
    }
    if (this.timers.length > 0) this.runTimers();
  }

  private timeoutMs(): number {
    if (this.timers.length === 0) return -1;
    let next = Infinity;
    for (const timer of this.timers) next = Math.min(next, timer.atMs);
    return Math.max(0, Math.min(next - monotonicMs(), 0x7fffffff));
  }

  private runTimers(): void {
    const now = monotonicMs();
    for (let index = this.earliest(now); index >= 0; index = this.earliest(now)) {
      const timer = this.removeTimer(index);
      if (timer !== undefined) guarded(timer.run, 0);
    }
  }

  /** The place of the timer that is due first, -1 where none is. Makes no lists: it is asked after every event. */
  private earliest(now: number): number {
    const { timers } = this;
    let found = -1;
    let atMs = now + 1;
    for (let index = 0; index < timers.length; index++) {
      const timer = timers[index];
      if (timer === undefined || timer.atMs >= atMs) continue;
      found = index;
      atMs = timer.atMs;
    }
    return found;
  }

  /** Puts the last one in its place. */
  private removeTimer(index: number): Timer | undefined {
    const { timers } = this;
    const removed = timers[index];
    const last = timers.pop();
    if (last !== undefined && index < timers.length) timers[index] = last;
    return removed;
  }

  private control(operation: number, fd: number, events: number): void {
    const { change } = this;
    change.events = events;
    change.fd = fd;
    if (C.epoll_ctl(this.epoll, operation, fd, change) < 0) throw sysError("epoll_ctl", fd);
  }
}

/** A handler that fails must not take the whole program along; a bug in it is told on standard error. */
function guarded(handler: ReadyHandler, events: number): void {
  const [ok, report] = xpcall(handler, describe, events);
  if (!ok) io.stderr.write(`${report}\n`);
}

function describe(thrown: unknown): string {
  return debug.traceback(asFailure(thrown).message);
}
