import type { ConnectionTiming } from "./timing.ts";

/** What happens by the clock on a connection. */
export interface WatchdogActions {
  /** Nothing moved for the idle time. */
  readonly idle: () => void;
  /**
   * Time to ask a client that is not being read for a sign of life: whoever does not read does not see the end
   * either, but a write to a client that is gone fails.
   */
  readonly probe: () => void;
}

/** The timers of one connection. */
export class Watchdog {
  readonly #idle: NodeJS.Timeout;
  readonly #probe: NodeJS.Timeout;

  constructor(timing: ConnectionTiming, actions: WatchdogActions) {
    this.#idle = setTimeout(actions.idle, timing.idleTimeoutMs);
    this.#probe = setInterval(actions.probe, timing.probeIntervalMs);
  }

  /** Something moved. */
  touch(): void {
    this.#idle.refresh();
  }

  /** Frees the timers. */
  stop(): void {
    clearTimeout(this.#idle);
    clearInterval(this.#probe);
  }
}
