import type { Loop, Timer } from "../wire/loop.ts";

/** Notices that a count has not moved for a while; made once, used for years, so it leaves no garbage. */
export class Stillness {
  private readonly loop: Loop;
  private readonly ms: number;
  private readonly count: (this: void) => number;
  private readonly onStill: (this: void) => void;
  private readonly timer: Timer;
  private watching = false;
  private before = 0;

  constructor(loop: Loop, ms: number, count: (this: void) => number, onStill: (this: void) => void) {
    this.loop = loop;
    this.ms = ms;
    this.count = count;
    this.onStill = onStill;
    this.timer = {
      atMs: 0,
      run: () => {
        this.look();
      },
    };
  }

  /** Calls `onStill` once when `count` is the same for `ms` to twice that; watching already is fine. */
  watch(): void {
    if (this.watching) return;
    this.watching = true;
    this.before = this.count();
    this.loop.start(this.timer, this.ms);
  }

  cancel(): void {
    if (this.watching) this.loop.cancel(this.timer);
    this.watching = false;
  }

  private look(): void {
    this.watching = false;
    if (this.count() === this.before) this.onStill();
    else this.watch();
  }
}
