import { RuntimeError } from "../core/errors.ts";

/**
 * Keeps garbage collection of a network apart from its ADDs and DELs (CNI spec 1.1, section 3: a runtime runs either).
 * Collection waits for a moment without the others; while it runs they wait.
 */
export class NetworkGate {
  readonly #users = new Map<string, number>();
  readonly #closed = new Set<string>();
  /** Called at every change. */
  readonly #waiting = new Set<() => void>();

  /** Waits until none of the networks is being collected; dispose what is given when done. */
  async enter(networks: readonly string[], deadline: AbortSignal): Promise<Disposable> {
    await this.#until(() => networks.every((name) => !this.#closed.has(name)), networks, deadline);
    for (const name of networks) this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
    return this.#leaving(() => {
      for (const name of networks) {
        const left = (this.#users.get(name) ?? 0) - 1;
        if (left > 0) this.#users.set(name, left);
        else this.#users.delete(name);
      }
    });
  }

  /** Waits until nobody is inside, and keeps others out until what is given is disposed. */
  async enterAlone(network: string, deadline: AbortSignal): Promise<Disposable> {
    const isFree = (): boolean => !this.#users.has(network) && !this.#closed.has(network);
    await this.#until(isFree, [network], deadline);
    this.#closed.add(network);
    return this.#leaving(() => this.#closed.delete(network));
  }

  #leaving(leave: () => void): Disposable {
    let isInside = true;
    return {
      [Symbol.dispose]: () => {
        if (!isInside) return;
        isInside = false;
        leave();
        for (const look of [...this.#waiting]) look();
      },
    };
  }

  async #until(condition: () => boolean, networks: readonly string[], deadline: AbortSignal): Promise<void> {
    while (!condition()) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const look = (): void => {
        resolve(undefined);
      };
      this.#waiting.add(look);
      deadline.addEventListener("abort", look, { once: true });
      if (!deadline.aborted) await promise;
      this.#waiting.delete(look);
      deadline.removeEventListener("abort", look);
      if (deadline.aborted) {
        throw new RuntimeError(
          "deadline-exceeded",
          `network ${networks.join(", ")}: not free of other work at the deadline`,
        );
      }
    }
  }
}
