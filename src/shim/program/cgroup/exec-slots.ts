import { AT } from "../ffi/constants.ts";
import { E, errno } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { failure } from "../failure.ts";
import { makeFolder } from "./folder.ts";
import { type KillFolder, isEmpty, killAll } from "./kill.ts";

/** Added processes that may run in one container at the same time. */
export const maxExecSlots = 32;

/** A sub-cgroup for one added process and its descendants, so that a timeout can kill them all. */
export interface ExecSlot {
  /** Below the container's cgroup: `/x0` to `/x31`. */
  readonly name: string;
  /** Kills the process and all its descendants, those that left its process tree included. */
  kill(): void;
  isEmpty(): boolean;
  /**
   * Gives the slot back; what still runs in it stays alive, and the slot is used again once it is empty. One that was
   * killed is made anew first: the kernel counts kills, and clone3 with CLONE_INTO_CGROUP compares the count of the
   * parent's own cgroup with that of the target, so whoever starts in a cgroup that was ever killed is killed at once
   * (seen on Linux 6.18).
   */
  release(after: "clean" | "killed"): void;
}

/** The slots of one container, in the hierarchy that its processes are killed through. */
export class ExecSlots {
  private readonly container: KillFolder;
  private readonly used: boolean[] = [];
  private readonly killed: boolean[] = [];

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
    for (let index = 0; index < maxExecSlots; index++) {
      if (this.used[index] === true) continue;
      const name = `/x${index}`;
      if (this.killed[index] === true && !removed(this.container.folder + name)) continue;
      this.killed[index] = false;
      const target: KillFolder = { ...this.container, folder: this.container.folder + name };
      const [ok, outcome] = pcall(makeFolder, target.folder);
      if (!ok || outcome === "orphan") return undefined;
      if (outcome === "exists" && !isEmpty(target)) continue;
      this.used[index] = true;
      return this.slot(index, name, target);
    }
    if (this.used.filter((used) => used).length < maxExecSlots) return undefined;
    throw failure(
      "resource-exhausted",
      `${maxExecSlots} added processes run in ${this.container.folder} already`,
    );
  }

  private slot(index: number, name: string, target: KillFolder): ExecSlot {
    return {
      name,
      kill: () => {
        killAll(target);
      },
      isEmpty: () => isEmpty(target),
      release: (after) => {
        this.used[index] = false;
        this.killed[index] = after === "killed";
      },
    };
  }
}

/** False while something still runs in it. */
function removed(folder: string): boolean {
  return C.unlinkat(AT.FDCWD, folder, AT.REMOVEDIR) === 0 || errno() === E.NOENT;
}
