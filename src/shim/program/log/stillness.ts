import type { Loop, Timer } from "../wire/loop.ts";

/** Notices that a count has not moved for a while. */
export class Stillness {
  private readonly loop: Loop;
  private readonly ms: number;
  private readonly count: (this: void) => number;
  private readonly onStill: (this: void) => void;
  private timer: Timer | undefined;

  constructor(loop: Loop, ms: number, count: (this: void) => number, onStill: (this: void) => void) {
    this.loop = loop;
    this.ms = ms;
    this.count = count;
    this.onStill = onStill;
  }

  /** Calls `onStill` once when `count` is the same for `ms` to twice that; watching already is fine. */
  watch(): void {
    if (this.timer !== undefined) return;
    const before = this.count();
    this.timer = this.loop.after(this.ms, () => {
      this.timer = undefined;
      if (this.count() === before) this.onStill();
      else this.watch();
    });
  }

  cancel(): void {
    this.loop.cancel(this.timer);
    this.timer = undefined;
  }
}
