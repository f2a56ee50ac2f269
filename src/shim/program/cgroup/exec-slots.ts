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
  /** Gives the slot back; what still runs in it stays alive, and the slot is used again once it is empty. */
  release(): void;
}

/** The slots of one container, in the hierarchy that its processes are killed through. */
export class ExecSlots {
  private readonly container: KillFolder;
  private readonly used: boolean[] = [];

  constructor(container: KillFolder) {
    this.container = container;
  }

  /**
   * A slot that is empty; `resource-exhausted` where all are taken. Undefined where the container's cgroup takes no
   * sub-cgroup (no freezer, or a limit on their number): then descendants have to be found by walking the processes.
   */
  take(): ExecSlot | undefined {
    if (this.container.means === "list") return undefined;
    for (let index = 0; index < maxExecSlots; index++) {
      if (this.used[index] === true) continue;
      const name = `/x${index}`;
      const target: KillFolder = { ...this.container, folder: this.container.folder + name };
      const [ok, outcome] = pcall(makeFolder, target.folder);
      if (!ok || outcome === "orphan") return undefined;
      if (outcome === "exists" && !isEmpty(target)) continue;
      this.used[index] = true;
      return this.slot(index, name, target);
    }
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
      release: () => {
        this.used[index] = false;
      },
    };
  }
}
