import { readFileSync } from "node:fs";

/** Most handles of cgroup files kept open at a time; what goes beyond is opened for each read. */
export const maxHeldHandles = 16_384;

/** The part of the process's handles that stats may hold; the rest is for sockets, pulls and shims. */
const shareOfLimit = 4;

/** How many handles of cgroup files may still be kept open. */
export class HandleBudget {
  #left: number;

  constructor(limit: number) {
    this.#left = limit;
  }

  /** What this process may hold, by its limit on open files (getrlimit(2)). */
  static forThisProcess(): HandleBudget {
    const limits = readFileSync("/proc/self/limits", "utf8");
    const soft = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? maxHeldHandles);
    return new HandleBudget(Math.min(maxHeldHandles, Math.floor(soft / shareOfLimit)));
  }

  /** True where one more handle may stay open. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  /** One that was taken is closed. */
  give(): void {
    this.#left += 1;
  }
}
