import { initialWindowBytes } from "./frames.ts";

/** The largest window that the protocol can tell (section 2.6.8). */
const maxWindowBytes = 2 ** 31 - 1;

/**
 * Whether a client takes part in flow control, and how large its windows are. Go's spdystream, which stands behind
 * every Kubernetes client, never sends a WINDOW_UPDATE: holding to the first window would stop after 64 KiB for ever.
 * So windows count from the first frame on that shows that the client gives them; before it, TCP alone slows us down.
 */
export class WindowPolicy {
  #counts = false;
  #initialBytes = initialWindowBytes;
  readonly #windows = new Set<SendWindow>();

  /** True once the client has shown that it gives windows. */
  get counts(): boolean {
    return this.#counts;
  }

  /** The client gives windows: they count from here on. */
  begin(): void {
    this.#counts = true;
  }

  /** The client set the first window of all streams, those that are open included. */
  setInitial(bytes: number): void {
    this.begin();
    const delta = bytes - this.#initialBytes;
    this.#initialBytes = bytes;
    for (const window of this.#windows) window.widen(delta);
  }

  /** A window for a new stream. */
  create(): SendWindow {
    const window: SendWindow = new SendWindow(this, this.#initialBytes, () => this.#windows.delete(window));
    this.#windows.add(window);
    return window;
  }
}

/** What may still be sent on one stream. */
export class SendWindow {
  readonly #policy: WindowPolicy;
  readonly #released: () => void;
  /** May be below 0: the initial window can shrink, and what was sent before windows counted is taken off too. */
  #leftBytes: number;
  #isOpen = false;
  #wake: (() => void) | undefined;

  constructor(policy: WindowPolicy, leftBytes: number, released: () => void) {
    this.#policy = policy;
    this.#leftBytes = leftBytes;
    this.#released = released;
  }

  /** Waits for credit and takes at most `wanted` bytes of it. */
  async take(wanted: number): Promise<number> {
    while (this.#mustWait()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#policy.counts && !this.#isOpen ? Math.min(wanted, this.#leftBytes) : wanted;
    this.#leftBytes -= taken;
    return taken;
  }

  /** Adds credit; false where that is more than a window can be. */
  widen(delta: number): boolean {
    this.#leftBytes += delta;
    this.#wake?.();
    return this.#leftBytes <= maxWindowBytes;
  }

  /** The stream is over: nobody waits any more. */
  open(): void {
    this.#isOpen = true;
    this.#released();
    this.#wake?.();
  }

  #mustWait(): boolean {
    return this.#policy.counts && !this.#isOpen && this.#leftBytes <= 0;
  }
}
