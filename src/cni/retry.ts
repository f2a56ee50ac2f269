/** Waits before the second try and between late ones, in milliseconds. */
const firstDelayMs = 1_000;
const maxDelayMs = 300_000;
/** Tries under way at one time: what keeps failing must not crowd out what works. */
const maxConcurrentTries = 4;

/** Tries again what failed, later and later, until it succeeds or the queue is closed. */
export class RetryQueue implements AsyncDisposable {
  readonly #work: (key: string) => Promise<void>;
  /** What waits for its time, is due, or is being tried. */
  readonly #entries = new Map<string, { delayMs: number; timer?: NodeJS.Timeout }>();
  readonly #due: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  /** `work` throws where it must be tried again. */
  constructor(work: (key: string) => Promise<void>) {
    this.#work = work;
  }

  /** Tries `key` after the first delay; one that is here already goes on as it was. */
  add(key: string): void {
    if (!this.#entries.has(key)) this.#schedule(key, firstDelayMs);
  }

  /** Forgets `key`, for somebody else did it. */
  remove(key: string): void {
    clearTimeout(this.#entries.get(key)?.timer);
    this.#entries.delete(key);
  }

  /** Starts no more tries and waits for those under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const key of [...this.#entries.keys()]) this.remove(key);
    await Promise.all(this.#running);
  }

  #schedule(key: string, delayMs: number): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#due.push(key);
      this.#startDue();
    }, delayMs);
    timer.unref();
    this.#entries.set(key, { delayMs, timer });
  }

  #startDue(): void {
    while (this.#running.size < maxConcurrentTries) {
      const key = this.#due.shift();
      if (key === undefined) return;
      const entry = this.#entries.get(key);
      if (entry === undefined) continue;
      const run = this.#try(key, entry.delayMs).finally(() => {
        this.#running.delete(run);
        this.#startDue();
      });
      this.#running.add(run);
    }
  }

  async #try(key: string, delayMs: number): Promise<void> {
    try {
      await this.#work(key);
      this.#entries.delete(key);
    } catch {
      // Whoever did the work has told why; one that was removed in the meantime is done.
      if (this.#entries.has(key)) this.#schedule(key, Math.min(delayMs * 2, maxDelayMs));
    }
  }
}
