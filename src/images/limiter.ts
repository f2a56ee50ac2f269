/** Lets a number of holders in at a time, for each key; others wait in order. */
export interface Limiter {
  /** Resolves to the release; rejects with the signal's reason when it aborts while waiting. */
  acquire(key: string, signal: AbortSignal): Promise<() => void>;
}

/** Makes a limiter of `limit` holders a key. */
export function createLimiter(limit: number): Limiter {
  const holders = new Map<string, { active: number; readonly waiting: (() => void)[] }>();

  const release = (key: string): void => {
    const state = holders.get(key);
    if (state === undefined) return;
    const next = state.waiting.shift();
    if (next !== undefined) next();
    else if (--state.active === 0) holders.delete(key);
  };

  return {
    acquire: async (key, signal) => {
      signal.throwIfAborted();
      const state = holders.get(key) ?? { active: 0, waiting: [] };
      holders.set(key, state);
      if (state.active < limit) {
        state.active += 1;
      } else {
        await new Promise<void>((resolve, reject) => {
          const enter = (): void => {
            signal.removeEventListener("abort", leave);
            resolve();
          };
          const leave = (): void => {
            state.waiting.splice(state.waiting.indexOf(enter), 1);
            reject(signal.reason as Error);
          };
          state.waiting.push(enter);
          signal.addEventListener("abort", leave, { once: true });
        });
      }
      return () => {
        release(key);
      };
    },
  };
}

/** Runs pieces of work one after the other, in the order of the calls. */
export function createMutex(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result.catch(() => undefined);
    return result;
  };
}
