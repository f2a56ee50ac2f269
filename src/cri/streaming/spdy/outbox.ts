import type { Duplex } from "node:stream";

/** Control frames that wait to be sent; a client that asks for more and reads none of them is cut off. */
const maxWaitingControlFrames = 8_192;

interface Waiting {
  readonly parts: readonly Buffer[];
  readonly sent: () => void;
}

/** Who is told how sending goes. */
export interface OutboxWatcher {
  /** A frame was handed to the transport. */
  readonly progress: () => void;
  /** The client makes us answer and does not read the answers. */
  readonly overflow: (limit: number) => void;
}

/** Sends frames one after the other at the client's pace; parallel streams take turns frame by frame. */
export class Outbox {
  readonly #transport: Duplex;
  readonly #watcher: OutboxWatcher;
  readonly #waiting: Waiting[] = [];
  #waitingControl = 0;
  #blocked = false;
  #closed = false;

  constructor(transport: Duplex, watcher: OutboxWatcher) {
    this.#transport = transport;
    this.#watcher = watcher;
    transport.on("drain", () => {
      this.#blocked = false;
      this.#pump();
    });
  }

  /** True while the client does not read what was sent. */
  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** Sends a frame of data; resolves when it was handed to the transport, or dropped because that is closed. */
  send(parts: readonly Buffer[]): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((sent) => {
      this.#waiting.push({ parts, sent });
      this.#pump();
    });
  }

  /** Sends a control frame; where too many wait it is dropped and the watcher told. */
  control(frame: Buffer): void {
    if (this.#closed) return;
    if (this.#waitingControl >= maxWaitingControlFrames) {
      this.#watcher.overflow(maxWaitingControlFrames);
      return;
    }
    this.#waitingControl++;
    const sent = (): void => {
      this.#waitingControl--;
    };
    this.#waiting.push({ parts: [frame], sent });
    this.#pump();
  }

  /** Resolves once everything was written to the transport, or it closed. */
  async flushed(): Promise<void> {
    await this.send([]);
    if (this.#closed || this.#transport.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      this.#transport.write(Buffer.alloc(0), () => {
        resolve();
      });
    });
  }

  /** Drops what waits and what comes. */
  close(): void {
    this.#closed = true;
    for (const { sent } of this.#waiting.splice(0)) sent();
  }

  #pump(): void {
    while (!this.#blocked) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#transport.cork();
      for (const part of next.parts) this.#blocked = !this.#transport.write(part);
      this.#transport.uncork();
      this.#watcher.progress();
      next.sent();
    }
  }
}
