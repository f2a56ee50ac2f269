import { EPOLL, SOCK } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { C } from "../ffi/libc.ts";
import { clone, exit, fork, setName } from "../ffi/processes.ts";
import { accept, socketPair } from "../ffi/sockets.ts";
import { sleepMs } from "../ffi/time.ts";
import { awaitContainer } from "../shim/new-shim.ts";
import type { Loop, Timer } from "../wire/loop.ts";
import type { Context } from "./context.ts";
import { enterLeafV1, makeLeaf, removeLeaf } from "./own-cgroup.ts";

/** How often a spare's leaf is tried while it ends: 2 ms apart. */
const leaveTries = 100;
const leavePauseMs = 2;

/** How long the next one waits, unless a client does: whoever took the last has work for both processors now. */
const pauseMs = 30;

/**
 * Keeps one shim forked ahead, its creator with it: their forks, and the pages that these copy, cost no container time.
 * The spare accepts its client itself. A socket between it and the launcher, the leash, tells each of the other's
 * leaving: a spare whose launcher is gone ends, and when one was taken the next is forked.
 */
export class Spares {
  private readonly loop: Loop;
  private readonly listener: number;
  private readonly context: Context;
  private made = 0;
  private leash: number | undefined;
  private pause: Timer | undefined;

  constructor(loop: Loop, listener: number, context: Context) {
    this.loop = loop;
    this.listener = listener;
    this.context = context;
  }

  /** Forks the first one; the others follow by themselves. */
  forkNext(): void {
    this.loop.remove(this.listener);
    this.loop.cancel(this.pause);
    this.made++;
    const [ours, theirs] = socketPair(SOCK.STREAM);
    const [forked, pid] = pcall(fork);
    if (forked && pid === 0) {
      pcall(() => this.becomeSpare(theirs));
      exit(1);
    }
    C.close(theirs);
    if (!forked) this.refuse();
    this.leash = ours;
    this.loop.add(ours, EPOLL.IN, () => {
      this.loop.remove(ours);
      C.close(ours);
      this.leash = undefined;
      this.want();
    });
  }

  /** Ends the spare and removes its cgroup, which it can't do itself on v2. */
  end(): void {
    if (this.leash === undefined) return;
    C.close(this.leash);
    for (let tries = 0; tries < leaveTries; tries++) {
      if (removeLeaf(this.context.hierarchies, this.leaf())) return;
      sleepMs(leavePauseMs);
    }
  }

  /** Whoever waits is told so by the end of the connection. */
  private refuse(): void {
    const client = accept(this.listener);
    if (client !== undefined) C.close(client);
  }

  private want(): void {
    this.loop.add(this.listener, EPOLL.IN, () => {
      this.forkNext();
    });
    this.pause = this.loop.after(pauseMs, () => {
      this.forkNext();
    });
  }

  private leaf(): string {
    return `shim-${this.context.launcherPid}-${this.made}`;
  }

  /**
   * Goes on as a child in a leaf cgroup of its own; this process ends. Started there by clone3, because moving a
   * process on v2 waits for a grace period of the kernel. It also makes the shim nobody's child but init's.
   */
  private becomeSpare(leash: number): never {
    setName("berth-spare");
    const { hierarchies } = this.context;
    const leaf = this.leaf();
    const folder = makeLeaf(hierarchies, leaf);
    const [placed, result] = pcall(() => clone(0, folder));
    const pid = placed ? result : clone(0);
    if (pid !== 0) exit(0);
    enterLeafV1(hierarchies, leaf);
    closeAllBut([this.listener, leash]);
    return awaitContainer(this.listener, leash, leaf, this.context);
  }
}
