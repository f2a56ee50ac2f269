/** What one turn gives at once, and what of it still goes on. */
export interface Turn<T> {
  readonly value: T;
  /** Keeps the next turn of the same key waiting; never rejects. */
  readonly rest: Promise<void>;
}

/** Runs work one after the other where it has the same key, and at once where not. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work of the key is through. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.runWithRest(key, async () => ({ value: await work(), rest: Promise.resolve() }));
  }

  /** As {@link run}, for work that gives its value before it is through. */
  async runWithRest<T>(key: string, work: () => Promise<Turn<T>>): Promise<T> {
    const previous = this.#tails.get(key) ?? Promise.resolve();
    const result = previous.then(work);
    const tail = result
      .then(({ rest }) => rest)
      .catch(() => undefined)
      .then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      });
    this.#tails.set(key, tail);
    return (await result).value;
  }

  /** Waits until all work that has been handed in is through. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values());
  }
}
