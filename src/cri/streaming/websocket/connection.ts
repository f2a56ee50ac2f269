import type { WebSocket } from "ws";
import { RuntimeError } from "../../../core/errors.ts";
import { ByteQueue } from "../byte-queue.ts";
import { maxHeldBytes, maxSentPieceBytes } from "../limits.ts";
import type { ConnectionTiming } from "../timing.ts";
import { Watchdog } from "../watchdog.ts";
import { closeChannel, decodeMessage, encodeMessage, type ChannelCodec } from "./channels.ts";

/** The close code of an orderly end (RFC 6455 section 7.4.1). */
const normalClosure = 1000;

/** How a connection's messages are to be read. */
export interface ChannelOptions {
  readonly codec: ChannelCodec;
  /** The client can close one channel alone. */
  readonly halfClose: boolean;
  /** The channels on which the client sends; messages on others are dropped. */
  readonly incoming: readonly number[];
}

/**
 * The server's end of a WebSocket that carries channels.
 *
 * ```
 *   open ── finish() ──► finishing (input discarded) ── client closes, or lingerMs ──► over
 *     └──── client gone, oversized or malformed message, idle, destroy() ────────────┘
 * ```
 */
export class ChannelConnection {
  readonly #webSocket: WebSocket;
  readonly #options: ChannelOptions;
  readonly #timing: ConnectionTiming;
  readonly #watchdog: Watchdog;
  readonly #incoming: ReadonlyMap<number, ByteQueue>;
  readonly #gone = new AbortController();
  #state: "open" | "finishing" | "over" = "open";

  /** Takes over a WebSocket that was just opened. */
  constructor(webSocket: WebSocket, options: ChannelOptions, timing: ConnectionTiming) {
    this.#webSocket = webSocket;
    this.#options = options;
    this.#timing = timing;
    this.#incoming = new Map(options.incoming.map((channel) => [channel, new ByteQueue(maxHeldBytes)]));
    this.#watchdog = new Watchdog(timing, {
      idle: () => {
        this.#end(new RuntimeError("deadline-exceeded", `nothing moved for ${timing.idleTimeoutMs} ms`));
      },
      probe: () => {
        if (webSocket.isPaused && webSocket.bufferedAmount === 0) webSocket.ping();
      },
    });
    webSocket.on("message", (data) => {
      this.#receive(data);
    });
    webSocket.on("ping", () => {
      this.#watchdog.touch();
    });
    webSocket.on("error", (thrown) => {
      this.#end(new RuntimeError("invalid-argument", `websocket: ${thrown.message}`, { cause: thrown }));
    });
    webSocket.on("close", () => {
      this.#end(new RuntimeError("unavailable", "the client closed the connection"));
    });
  }

  /** Aborts when the connection is over. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** What the client sends on one of the incoming channels. */
  incoming(channel: number): ByteQueue | undefined {
    return this.#incoming.get(channel);
  }

  /** Sends bytes on a channel, an empty message for none; one call at a time for each. Bytes for a client that is gone are dropped. */
  async send(channel: number, bytes: Buffer): Promise<void> {
    let offset = 0;
    do {
      await this.#sendPiece(channel, bytes.subarray(offset, offset + maxSentPieceBytes));
      offset += maxSentPieceBytes;
    } while (offset < bytes.length);
  }

  /** Ends the connection in order, lets the client close, and resolves when it is over. */
  async finish(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    for (const queue of this.#incoming.values()) queue.discard();
    this.#webSocket.resume();
    const over = new Promise<void>((resolve) => {
      this.#gone.signal.addEventListener("abort", () => {
        resolve();
      });
    });
    this.#webSocket.close(normalClosure);
    const timer = setTimeout(() => {
      this.destroy();
    }, this.#timing.lingerMs);
    await over;
    clearTimeout(timer);
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#end(new RuntimeError("aborted", "the connection was cut"));
  }

  #sendPiece(channel: number, piece: Buffer): Promise<void> {
    if (this.#state !== "open") return Promise.resolve();
    return new Promise((resolve) => {
      this.#webSocket.send(encodeMessage(this.#options.codec, channel, piece), () => {
        this.#watchdog.touch();
        resolve();
      });
    });
  }

  #receive(data: Parameters<typeof decodeMessage>[1]): void {
    this.#watchdog.touch();
    const message = decodeMessage(this.#options.codec, data);
    if (message === undefined) return;
    if (message.channel === closeChannel && this.#options.halfClose) {
      this.#incoming.get(message.bytes[0] ?? closeChannel)?.end();
      return;
    }
    const queue = this.#incoming.get(message.channel);
    if (queue === undefined) return;
    queue.push(message.bytes);
    if (queue.isFull) void this.#pauseFor(queue);
  }

  async #pauseFor(queue: ByteQueue): Promise<void> {
    this.#webSocket.pause();
    await queue.room();
    const isStillFull = [...this.#incoming.values()].some((other) => other.isFull);
    if (!isStillFull) this.#webSocket.resume();
  }

  #end(reason: RuntimeError): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#watchdog.stop();
    this.#webSocket.terminate();
    for (const queue of this.#incoming.values()) queue.end();
    this.#gone.abort(reason);
  }
}
