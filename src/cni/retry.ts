/** Tries again what failed, later and later, until it succeeds or the queue is closed. */
export class RetryQueue implements AsyncDisposable {
  readonly #work: (key: string) => Promise<void>;
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; delayMs: number }>();
  readonly #running = new Set<Promise<void>>();
  #closed = false;

  /** `work` throws where it must be tried again. */
  constructor(work: (key: string) => Promise<void>) {
    this.#work = work;
  }

  /** Tries `key` after the first delay; one that waits already goes on waiting. */
  add(key: string): void {
    if (!this.#timers.has(key)) this.#schedule(key, firstDelayMs);
  }

  /** Forgets `key`, for somebody else did it. */
  remove(key: string): void {
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }

  /** The keys that wait for their next try. */
  keys(): string[] {
    return [...this.#timers.keys()];
  }

  /** Starts no more tries and waits for those under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const key of this.keys()) this.remove(key);
    await Promise.all(this.#running);
  }

  #schedule(key: string, delayMs: number): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      const run = this.#try(key, delayMs).finally(() => this.#running.delete(run));
      this.#running.add(run);
    }, delayMs);
    timer.unref();
    this.#timers.set(key, { timer, delayMs });
  }

  async #try(key: string, delayMs: number): Promise<void> {
    try {
      await this.#work(key);
      this.#timers.delete(key);
    } catch {
      // The work has said why with its own job; removed in the meantime means done.
      if (this.#timers.has(key)) this.#schedule(key, Math.min(delayMs * 2, maxDelayMs));
    }
  }
}

/** Waits before the second try and between late ones, in milliseconds. */
const firstDelayMs = 1_000;
const maxDelayMs = 60_000;
