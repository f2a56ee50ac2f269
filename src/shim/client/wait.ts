import { RuntimeError } from "../../core/errors.ts";

/** How long a request to a launcher or shim may take where its caller names no time. */
export const defaultTimeoutMs = 30_000;

/** The bounds of one wait: its caller's signal, and a deadline that always exists. */
export interface Wait {
  readonly signal?: AbortSignal;
  /** {@link defaultTimeoutMs} when absent. */
  readonly timeoutMs?: number;
}

interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * A promise that `begin` settles, bounded by `wait`: rejects with `deadline-exceeded` or `aborted`, naming `what`.
 * `abandon` runs when the bound, and not the work, ended it, also where that was before `begin`.
 */
export function bounded<T>(
  what: string,
  wait: Wait,
  begin: (settle: Settle<T>) => void,
  abandon: () => void = () => undefined,
): Promise<T> {
  const { signal, timeoutMs = defaultTimeoutMs } = wait;
  if (signal?.aborted === true) {
    abandon();
    return Promise.reject(aborted(what, signal));
  }
  return new Promise<T>((resolve, reject) => {
    const release = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const giveUp = (reason: RuntimeError): void => {
      release();
      abandon();
      reject(reason);
    };
    const onAbort = (): void => {
      giveUp(aborted(what, signal));
    };
    const timer = setTimeout(() => {
      giveUp(new RuntimeError("deadline-exceeded", `${what}: no answer in ${timeoutMs} ms`));
    }, timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    begin({
      resolve: (value) => {
        release();
        resolve(value);
      },
      reject: (reason) => {
        release();
        reject(reason);
      },
    });
  });
}

/** What is left of `wait` after `startedAt` (`performance.now()`): at least 1 ms, so that it fails in its own words. */
export function remaining(wait: Wait, startedAt: number): Wait {
  const left = (wait.timeoutMs ?? defaultTimeoutMs) - (performance.now() - startedAt);
  return { ...wait, timeoutMs: Math.max(1, Math.floor(left)) };
}

function aborted(what: string, signal: AbortSignal | undefined): RuntimeError {
  return new RuntimeError("aborted", `${what}: aborted by the caller`, { cause: signal?.reason });
}
