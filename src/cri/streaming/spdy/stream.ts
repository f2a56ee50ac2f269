import { ByteQueue } from "../byte-queue.ts";
import { maxHeldBytes, maxSentPieceBytes } from "../limits.ts";
import { dataHeader, rstStream, windowUpdate } from "./encoder.ts";
import { initialWindowBytes, resetStatus, type Frame, type Headers, type ResetStatus } from "./frames.ts";
import type { Outbox } from "./outbox.ts";
import type { SendWindow } from "./send-window.ts";

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly outbox: Outbox;
  /** The client's bytes of a stream were read or dropped. */
  readonly consumed: (bytes: number) => void;
  /** The stream needs no frame any more. */
  readonly forget: (stream: SpdyStream) => void;
}

/**
 * One stream that the client opened.
 *
 * ```
 *   open ── FIN received ──► half-closed (remote) ── end() ──────┐
 *     │                                                         ├──► closed
 *     ├──── end() ──────────► half-closed (local) ── FIN received┘
 *     └──── RST_STREAM either way, end of the connection ───────► reset (signal aborts)
 * ```
 */
export class SpdyStream {
  readonly id: number;
  readonly headers: Headers;
  /** What the client sends. */
  readonly incoming: ByteQueue;
  readonly #host: StreamHost;
  readonly #window: SendWindow;
  readonly #reset = new AbortController();
  #remote: "open" | "closed";
  #local: "open" | "closed";
  /** Bytes read since the client was last given credit. */
  #uncreditedBytes = 0;

  constructor(frame: Frame & { type: "syn-stream" }, headers: Headers, host: StreamHost, window: SendWindow) {
    this.id = frame.streamId;
    this.headers = headers;
    this.#host = host;
    this.#window = window;
    this.#remote = frame.fin ? "closed" : "open";
    this.#local = frame.unidirectional ? "closed" : "open";
    this.incoming = new ByteQueue(maxHeldBytes, (bytes) => {
      this.#credit(bytes);
    });
    if (frame.fin) this.incoming.end();
  }

  /** Aborts when the stream was reset or its connection is over, not at an orderly end. */
  get signal(): AbortSignal {
    return this.#reset.signal;
  }

  /** Sends bytes; one call at a time. Resolves when more may be sent; bytes for a stream that is over are dropped. */
  async write(bytes: Buffer): Promise<void> {
    for (let offset = 0; offset < bytes.length;) {
      const wanted = Math.min(bytes.length - offset, maxSentPieceBytes);
      const length = await this.#window.take(wanted);
      if (this.#local === "closed") return;
      const piece = bytes.subarray(offset, offset + length);
      await this.#host.outbox.send([dataHeader(this.id, length, "more"), piece]);
      offset += length;
    }
  }

  /** Says that no more bytes come from here. */
  end(): void {
    if (this.#local === "closed") return;
    this.#local = "closed";
    void this.#host.outbox.send([dataHeader(this.id, 0, "fin")]);
    this.#forgetIfOver();
  }

  /** Ends the stream at once, both ways. */
  reset(status: ResetStatus): void {
    if (this.#isOver) return;
    this.#host.outbox.control(rstStream(this.id, status));
    this.abandon();
  }

  /** Takes bytes from the client; the connection reads on when the queue has room. */
  async receive(bytes: Buffer, fin: boolean): Promise<void> {
    if (this.#remote === "closed") {
      this.reset(resetStatus.streamAlreadyClosed);
      return;
    }
    this.incoming.push(bytes);
    if (fin) {
      this.#remote = "closed";
      this.incoming.end();
      this.#forgetIfOver();
    }
    if (this.incoming.isFull) await this.incoming.room();
  }

  /** Takes more credit for sending; false where the sum is more than the protocol allows. */
  widen(delta: number): boolean {
    return this.#window.widen(delta);
  }

  /** The client reset the stream, or the connection is over: nothing is sent any more. */
  abandon(): void {
    if (this.#isOver) return;
    this.#remote = "closed";
    this.#local = "closed";
    this.incoming.end();
    this.#forget();
    this.#reset.abort();
  }

  get #isOver(): boolean {
    return this.#remote === "closed" && this.#local === "closed";
  }

  #forgetIfOver(): void {
    if (this.#isOver) this.#forget();
  }

  #forget(): void {
    this.#window.open();
    this.#host.forget(this);
  }

  #credit(bytes: number): void {
    this.#host.consumed(bytes);
    this.#uncreditedBytes += bytes;
    if (this.#remote === "closed" || this.#uncreditedBytes < initialWindowBytes / 2) return;
    this.#host.outbox.control(windowUpdate(this.id, this.#uncreditedBytes));
    this.#uncreditedBytes = 0;
  }
}
