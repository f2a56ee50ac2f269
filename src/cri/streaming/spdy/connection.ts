import type { Duplex } from "node:stream";
import { asRuntimeError, RuntimeError } from "../../../core/errors.ts";
import type { ConnectionTiming } from "../timing.ts";
import { Watchdog } from "../watchdog.ts";
import { FrameDecoder } from "./decoder.ts";
import { goAway, ping, rstStream, synReply, windowUpdate } from "./encoder.ts";
import {
  goAwayStatus,
  initialWindowBytes,
  resetStatus,
  type Frame,
  type Headers,
  type ResetStatus,
} from "./frames.ts";
import { formatHeaderBlock, parseHeaderBlock } from "./header-block.ts";
import { HeaderDeflater, HeaderInflater } from "./header-compression.ts";
import { Outbox } from "./outbox.ts";
import { WindowPolicy } from "./send-window.ts";
import { SpdyStream } from "./stream.ts";

/** Pings of the server have even numbers (section 2.6.5); one number is enough to learn that the client is gone. */
const probePingId = 2;

/** Who decides over the streams of a connection. */
export interface StreamAcceptor {
  /** Whether a stream with these headers may be opened; else why it is reset. */
  readonly check: (headers: Headers, openStreams: number) => ResetStatus | undefined;
  /** A stream was opened and the client told so. */
  readonly opened: (stream: SpdyStream) => void;
}

/**
 * The server's end of a SPDY/3.1 connection. One bad stream is reset and the others go on; bytes that are no SPDY end
 * the connection.
 *
 * ```
 *   open ── finish() ──► finishing (input discarded, no new streams) ── client closes, or lingerMs ──► over
 *     └──── client gone, protocol error, idle, destroy() ─────────────────────────────────────────────┘
 * ```
 */
export class SpdyConnection {
  readonly #transport: Duplex;
  readonly #acceptor: StreamAcceptor;
  readonly #outbox: Outbox;
  readonly #watchdog: Watchdog;
  readonly #decoder = new FrameDecoder();
  readonly #inflater = new HeaderInflater();
  readonly #deflater = new HeaderDeflater();
  readonly #windows = new WindowPolicy();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #gone = new AbortController();
  readonly #timing: ConnectionTiming;
  #state: "open" | "finishing" | "over" = "open";
  #lastStreamId = 0;
  #uncreditedBytes = 0;
  #isStalled = false;

  /** Takes over the transport, whose other side is a client that has sent nothing yet. */
  constructor(transport: Duplex, acceptor: StreamAcceptor, timing: ConnectionTiming) {
    this.#transport = transport;
    this.#acceptor = acceptor;
    this.#timing = timing;
    this.#watchdog = new Watchdog(timing, {
      idle: () => {
        this.#end(new RuntimeError("deadline-exceeded", `nothing moved for ${timing.idleTimeoutMs} ms`));
      },
      probe: () => {
        if (this.#isStalled && !this.#outbox.isBlocked) this.#outbox.control(ping(probePingId));
      },
    });
    this.#outbox = new Outbox(transport, {
      progress: () => {
        this.#watchdog.touch();
      },
      overflow: (limit) => {
        this.#fail(
          new RuntimeError("resource-exhausted", `the client reads none of ${limit} control frames`),
        );
      },
    });
    transport.on("close", () => {
      this.#end(new RuntimeError("unavailable", "the client closed the connection"));
    });
    void this.#read();
  }

  /** Aborts when the connection is over, with the reason; one that `finish` ended has none worth telling. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Ends all streams in order, lets the client close, and resolves when the connection is over. */
  async finish(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    for (const stream of this.#streams.values()) {
      stream.incoming.discard();
      stream.end();
    }
    this.#outbox.control(goAway(this.#lastStreamId, goAwayStatus.ok));
    await this.#outbox.flushed();
    if (this.#gone.signal.aborted) return;
    this.#transport.end();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.destroy();
      }, this.#timing.lingerMs);
      this.#gone.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#end(new RuntimeError("aborted", "the connection was cut"));
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#transport as AsyncIterable<Buffer>) await this.#take(chunk);
      this.#end(new RuntimeError("unavailable", "the client closed the connection"));
    } catch (thrown) {
      this.#end(asRuntimeError(thrown));
    }
  }

  /** One frame after the other; while a stream has no room, nothing is read. */
  async #take(chunk: Buffer): Promise<void> {
    this.#watchdog.touch();
    try {
      for (const frame of this.#decoder.push(chunk)) {
        await this.#handle(frame);
        if (this.#isOver()) return;
      }
    } catch (thrown) {
      this.#fail(asRuntimeError(thrown));
    }
  }

  async #handle(frame: Frame): Promise<void> {
    switch (frame.type) {
      case "data":
        await this.#receive(frame);
        return;
      case "syn-stream":
        await this.#open(frame);
        return;
      case "syn-reply":
      case "headers":
        // Their blocks belong to the one compressed stream; what they say concerns nobody here.
        await this.#inflater.inflate(frame.block);
        return;
      case "rst-stream":
        this.#streams.get(frame.streamId)?.abandon();
        return;
      case "settings":
        if (frame.initialWindowBytes !== undefined) this.#windows.setInitial(frame.initialWindowBytes);
        return;
      case "ping":
        if (frame.id % 2 === 1) this.#outbox.control(ping(frame.id));
        return;
      case "window-update":
        this.#widen(frame.streamId, frame.delta);
        return;
      case "go-away":
      case "unknown":
        return;
    }
  }

  async #open(frame: Frame & { type: "syn-stream" }): Promise<void> {
    const headers = parseHeaderBlock(await this.#inflater.inflate(frame.block));
    if (this.#state !== "open") return;
    const { streamId } = frame;
    if (streamId % 2 === 0 || streamId <= this.#lastStreamId) {
      throw new RuntimeError("invalid-argument", `not spdy/3.1: stream ${streamId} opened by the client`);
    }
    this.#lastStreamId = streamId;
    const refusal = this.#acceptor.check(headers, this.#streams.size);
    if (refusal !== undefined) {
      this.#outbox.control(rstStream(streamId, refusal));
      return;
    }
    const host = {
      outbox: this.#outbox,
      consumed: (bytes: number) => {
        this.#credit(bytes);
      },
      forget: () => {
        this.#streams.delete(streamId);
      },
    };
    const stream = new SpdyStream(frame, headers, host, this.#windows.create());
    this.#streams.set(streamId, stream);
    this.#outbox.control(synReply(streamId, this.#deflater.deflate(formatHeaderBlock(new Map()))));
    this.#acceptor.opened(stream);
  }

  async #receive(frame: Frame & { type: "data" }): Promise<void> {
    const stream = this.#streams.get(frame.streamId);
    if (stream === undefined) {
      this.#credit(frame.bytes.length);
      // A stream that was just reset may still have data under way; one that never was opened is an error.
      const isKnown = frame.streamId % 2 === 1 && frame.streamId <= this.#lastStreamId;
      if (!isKnown) this.#outbox.control(rstStream(frame.streamId, resetStatus.invalidStream));
      return;
    }
    const received = stream.receive(frame.bytes, frame.fin);
    if (!stream.incoming.isFull) return;
    this.#isStalled = true;
    await received;
    this.#isStalled = false;
  }

  /** Stream 0 is the whole connection, whose window nothing here waits for. */
  #widen(streamId: number, delta: number): void {
    this.#windows.begin();
    const stream = this.#streams.get(streamId);
    if (stream !== undefined && !stream.widen(delta)) stream.reset(resetStatus.flowControlError);
  }

  /** SPDY/3.1 has a window for the connection beside those of its streams. */
  #credit(bytes: number): void {
    this.#uncreditedBytes += bytes;
    if (this.#uncreditedBytes < initialWindowBytes / 2) return;
    this.#outbox.control(windowUpdate(0, this.#uncreditedBytes));
    this.#uncreditedBytes = 0;
  }

  /** A method, since the state changes while a frame is being handled. */
  #isOver(): boolean {
    return this.#state === "over";
  }

  /** Tells the client that it broke the protocol, as far as it still reads, and ends. */
  #fail(reason: RuntimeError): void {
    if (this.#state === "over") return;
    const status =
      reason.code === "invalid-argument" ? goAwayStatus.protocolError : goAwayStatus.internalError;
    if (!this.#transport.destroyed) this.#transport.write(goAway(this.#lastStreamId, status));
    this.#end(reason);
  }

  #end(reason: RuntimeError): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#watchdog.stop();
    this.#inflater.close();
    this.#outbox.close();
    for (const stream of [...this.#streams.values()]) stream.abandon();
    this.#transport.on("error", () => undefined);
    this.#transport.destroy();
    this.#gone.abort(reason);
  }
}
