import { RuntimeError } from "../core/errors.ts";

/** What one turn gives at once, and what of it still goes on. */
export interface Turn<T> {
  readonly value: T;
  /** Keeps the next turn of the same key waiting; never rejects. */
  readonly rest: Promise<void>;
}

/** Runs work one after the other where it has the same key, and at once where not. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work of the key is through; `deadline-exceeded` where that takes too long. */
  run<T>(key: string, deadline: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.runWithRest(key, deadline, async () => ({ value: await work(), rest: Promise.resolve() }));
  }

  /** As {@link run}, for work that gives its value before it is through. */
  async runWithRest<T>(key: string, deadline: AbortSignal, work: () => Promise<Turn<T>>): Promise<T> {
    const previous = this.#tails.get(key);
    const turn = previous === undefined ? work() : waitFor(key, previous, deadline).then(work);
    const tail = Promise.all([previous, turn.then(({ rest }) => rest).catch(() => undefined)]).then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    this.#tails.set(key, tail);
    return (await turn).value;
  }

  /** Waits until all work that has been handed in is through. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values());
  }
}

function waitFor(key: string, previous: Promise<unknown>, deadline: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = (): void => {
      reject(new RuntimeError("deadline-exceeded", `${key}: earlier work was not through at the deadline`));
    };
    if (deadline.aborted) {
      give();
      return;
    }
    deadline.addEventListener("abort", give, { once: true });
    void previous.then(() => {
      deadline.removeEventListener("abort", give);
      resolve();
    });
  });
}
