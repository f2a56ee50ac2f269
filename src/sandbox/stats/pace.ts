import { setTimeout as sleep } from "node:timers/promises";

/** Entries of a folder tree looked at between two pauses: a few milliseconds of work. */
const entriesBetweenPauses = 200;

const longestPauseMs = 20;
const shortestPauseMs = 1;

/** Pauses of one round over all trees may add up to this, or what a round measures would be old when it ends. */
const pausesOfRoundMs = 20_000;

/** Milliseconds between the walks of two of so many trees. */
export function pauseBetween(trees: number): number {
  return Math.min(longestPauseMs, pausesOfRoundMs / Math.max(1, trees));
}

/** How fast a walk goes: slowly where little is to be seen, never without pauses. */
export class Pace {
  readonly #pauseMs: number;
  readonly #signal: AbortSignal;
  #left = entriesBetweenPauses;

  /** `entries` is what a round has to look at, as far as is known. */
  constructor(entries: number, signal: AbortSignal) {
    const pauses = Math.max(1, entries / entriesBetweenPauses);
    this.#pauseMs = Math.min(longestPauseMs, Math.max(shortestPauseMs, pausesOfRoundMs / pauses));
    this.#signal = signal;
  }

  /** One more entry; rejects when the walk is given up. */
  async step(): Promise<void> {
    this.#signal.throwIfAborted();
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = entriesBetweenPauses;
    await sleep(this.#pauseMs, undefined, { signal: this.#signal });
  }
}
