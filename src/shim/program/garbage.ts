/**
 * Garbage that is left lying about. The collector is stopped otherwise: marking touches every object of a heap that is
 * shared with the launcher, so one collection costs about as much memory as this is.
 */
const maxGarbageKib = 1024;

/** Keeps the garbage of a process that lives long below a bound. */
export class GarbageBound {
  private readonly limitKib = collectgarbage("count") + maxGarbageKib;

  /** Collects where too much lies about; asked after each piece of work. */
  check(): void {
    if (collectgarbage("count") <= this.limitKib) return;
    collectgarbage("collect");
    // A collection makes the collector run by itself from then on.
    collectgarbage("stop");
  }
}
