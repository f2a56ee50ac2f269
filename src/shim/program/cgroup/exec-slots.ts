import { AT } from "../ffi/constants.ts";
import { E, errno } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { failure } from "../failure.ts";
import { makeFolder } from "./folder.ts";
import { type KillFolder, isEmpty, killAll } from "./kill.ts";

/** Added processes that may run in one container at the same time. */
export const maxExecSlots = 32;

/**
 * How an added process left its sub-cgroup: empty, with descendants that live on, or killed.
 *
 * A killed one is made anew before it is used again: the kernel counts the kills of a cgroup, and clone3 with
 * CLONE_INTO_CGROUP compares the count of the parent's own cgroup with the target's, so whoever is to start in a cgroup
 * that was ever killed is killed at once (seen on Linux 6.18).
 */
export type SlotEnd = "empty" | "left" | "killed";

/** A sub-cgroup for one added process and its descendants, so that a timeout can kill them all. */
export interface ExecSlot {
  /** Below the container's cgroup: `/x0` to `/x31`. */
  readonly name: string;
  /** Kills the process and all its descendants, those that left its process tree included. */
  kill(): void;
  isEmpty(): boolean;
  /** Gives the slot back; what still runs in it stays alive, and the slot is used again once it is empty. */
  release(after: SlotEnd): void;
}

/** A slot that was used before: kept, since a shim lives long and every object it makes is garbage some day. */
interface KnownSlot {
  readonly slot: ExecSlot;
  readonly target: KillFolder;
  state: "busy" | SlotEnd;
}

/** The slots of one container, in the hierarchy that its processes are killed through. */
export class ExecSlots {
  private readonly container: KillFolder;
  private readonly known: KnownSlot[] = [];

  constructor(container: KillFolder) {
    this.container = container;
  }

  /**
   * A slot that is empty; `resource-exhausted` where all are taken by processes that run. Undefined where the
   * container's cgroup takes no sub-cgroup (no freezer, or a limit on their number), and where what ended processes
   * left behind holds the rest: then descendants have to be found by walking the processes.
   */
  take(): ExecSlot | undefined {
    if (this.container.means === "list") return undefined;
    let busy = 0;
    for (const known of this.known) {
      if (known.state === "busy") busy = busy + 1;
      else if (isUsable(known)) return taken(known);
    }
    if (busy === maxExecSlots) {
      throw failure(
        "resource-exhausted",
        `${maxExecSlots} added processes run in ${this.container.folder} already`,
      );
    }
    while (this.known.length < maxExecSlots) {
      const known = this.add();
      if (known === undefined) return undefined;
      if (isUsable(known)) return taken(known);
    }
    return undefined;
  }

  private add(): KnownSlot | undefined {
    const name = `/x${this.known.length}`;
    const target: KillFolder = { ...this.container, folder: this.container.folder + name };
    const [ok, outcome] = pcall(makeFolder, target.folder);
    if (!ok || outcome === "orphan") return undefined;
    const slot: ExecSlot = {
      name,
      kill: () => {
        killAll(target);
      },
      isEmpty: () => isEmpty(target),
      release: (after) => {
        known.state = after;
      },
    };
    // One that exists already is the work of somebody else: looked at before it is used.
    const known: KnownSlot = { slot, target, state: outcome === "made" ? "empty" : "left" };
    this.known.push(known);
    return known;
  }
}

function taken(known: KnownSlot): ExecSlot {
  known.state = "busy";
  return known.slot;
}

function isUsable({ state, target }: KnownSlot): boolean {
  if (state === "empty") return true;
  if (!isEmpty(target)) return false;
  return state === "left" || remade(target.folder);
}

/** False while something still runs in it. */
function remade(folder: string): boolean {
  if (C.unlinkat(AT.FDCWD, folder, AT.REMOVEDIR) < 0 && errno() !== E.NOENT) return false;
  const [ok, outcome] = pcall(makeFolder, folder);
  return ok && outcome === "made";
}
