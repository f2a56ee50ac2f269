import type { Socket } from "node:net";
import { RuntimeError, asRuntimeError } from "../../core/errors.ts";
import { frameMessage } from "../protocol/frame.ts";
import { protocolVersion } from "../protocol/messages.ts";
import type { AnyRequest, HelloReply, ShimEvent } from "../protocol/messages.ts";
import { type Frame, FrameDecoder, encodeFrame, encodeMessage } from "./frames.ts";
import type { Identity } from "./identity.ts";
import { type Answer, isSpoken, parseIncoming } from "./replies.ts";
import { connectSocket } from "./socket.ts";
import { type Wait, bounded, remaining } from "./wait.ts";

/** Bytes that may wait to be sent on one connection; a request beyond them fails with `resource-exhausted`. */
const maxPendingSendBytes = 4 * 1024 * 1024;

/** A request without its `seq`, which the channel gives it. */
export type Unnumbered<T> = T extends { readonly seq: number } ? Omit<T, "seq"> : never;

/** What arrives unasked on a channel. */
export interface ChannelListener {
  onEvent(event: ShimEvent): void;
  /** Bytes of a process's output; nothing more is read until a returned promise settles. */
  onOutput(kind: number, bytes: Buffer): void | Promise<void>;
}

interface PendingRequest {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * ```
 *  greeting ── hello of a protocol we speak ──► open
 *     └──────── end, error, close() ─────────────┴──────► closed
 * ```
 */
type ChannelState =
  | { readonly state: "greeting"; readonly greeted: (hello: HelloReply) => void }
  | { readonly state: "open" }
  | { readonly state: "closed"; readonly reason: RuntimeError };

/** One connection to the launcher or a shim, hello done: requests matched by number, events, output frames. */
export class Channel {
  /** Resolves once the connection is gone, with the reason; never rejects. */
  readonly closed: Promise<RuntimeError>;
  private readonly path: string;
  private readonly socket: Socket;
  private readonly listener: ChannelListener;
  private readonly decoder = new FrameDecoder();
  private readonly pending = new Map<number, PendingRequest>();
  private readonly settleClosed: (reason: RuntimeError) => void;
  private state: ChannelState;
  private lastSeq = 0;
  private handling = false;
  private lost: RuntimeError | undefined;

  private constructor(
    path: string,
    socket: Socket,
    listener: ChannelListener,
    greeted: (hello: HelloReply) => void,
  ) {
    this.path = path;
    this.socket = socket;
    this.listener = listener;
    this.state = { state: "greeting", greeted };
    const closed = Promise.withResolvers<RuntimeError>();
    this.closed = closed.promise;
    this.settleClosed = closed.resolve;
    socket.on("data", (chunk: Buffer) => void this.receive(chunk));
    socket.on("error", (thrown) => {
      const message = `${path}: ${thrown.message.toLowerCase()}`;
      this.endAfterFrames(new RuntimeError("unavailable", message, { cause: thrown }));
    });
    socket.on("close", () => {
      this.endAfterFrames(new RuntimeError("unavailable", `${path}: the other side closed the connection`));
    });
  }

  /**
   * Connects, greets and checks who answers: `unavailable` where nothing listens, `failed-precondition` for a
   * protocol that this daemon does not speak or a boot that is over.
   */
  static async open(
    path: string,
    identity: Identity,
    listener: ChannelListener,
    wait: Wait,
  ): Promise<{ readonly channel: Channel; readonly peer: HelloReply }> {
    const startedAt = performance.now();
    const socket = await connectSocket(path, wait);
    const greeting = Promise.withResolvers<HelloReply>();
    const channel = new Channel(path, socket, listener, greeting.resolve);
    const peer = await bounded<HelloReply>(
      `hello of ${path}`,
      remaining(wait, startedAt),
      ({ resolve, reject }) => {
        void greeting.promise.then(resolve);
        void channel.closed.then(reject);
        socket.write(encodeMessage({ type: "hello", protocol: protocolVersion, ...identity }));
      },
      () => {
        channel.close();
      },
    );
    if (peer.boot !== identity.boot) {
      channel.close();
      throw new RuntimeError("failed-precondition", `${path} is of another boot, ${peer.boot}`);
    }
    return { channel, peer };
  }

  /** Sends a request and waits for its answer, read by `parse`; the peer's failure is thrown with its own code. */
  async request<T>(message: Unnumbered<AnyRequest>, parse: (ok: unknown) => T, wait: Wait): Promise<T> {
    if (this.state.state === "closed") throw this.state.reason;
    const seq = ++this.lastSeq;
    const frame = encodeMessage({ ...message, seq });
    if (this.socket.writableLength + frame.length > maxPendingSendBytes) {
      throw new RuntimeError("resource-exhausted", `${this.path}: too many requests wait to be sent`);
    }
    const ok = await bounded<unknown>(
      `${message.type} on ${this.path}`,
      wait,
      (settle) => {
        this.pending.set(seq, settle);
        this.socket.write(frame);
      },
      () => this.pending.delete(seq),
    );
    return parse(ok);
  }

  /** Sends bytes in a frame of their own; resolves when more may be sent, throws once the connection is gone. */
  async sendFrame(kind: number, bytes: Uint8Array): Promise<void> {
    if (this.state.state === "closed") throw this.state.reason;
    if (this.socket.write(encodeFrame(kind, bytes))) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.socket.off("drain", done).off("close", done);
        resolve();
      };
      this.socket.on("drain", done).on("close", done);
    });
  }

  /** Cuts the connection; requests that wait fail with `unavailable`. May be called again. */
  close(): void {
    this.end(new RuntimeError("unavailable", `${this.path}: the connection was closed`));
  }

  private async receive(chunk: Buffer): Promise<void> {
    this.handling = true;
    try {
      for (const frame of this.decoder.push(chunk)) {
        const busy = this.handle(frame);
        if (busy === undefined) continue;
        this.socket.pause();
        await busy;
        if (this.state.state === "closed") return;
        this.socket.resume();
      }
    } catch (thrown) {
      const { code, message } = asRuntimeError(thrown);
      this.end(new RuntimeError(code, `${this.path}: ${message}`, { cause: thrown }));
    }
    this.handling = false;
    if (this.lost !== undefined) this.end(this.lost);
  }

  /** The other side is gone, but what it sent before may still be waiting for whoever takes it. */
  private endAfterFrames(reason: RuntimeError): void {
    if (this.handling) {
      this.lost ??= reason;
    } else {
      this.end(reason);
    }
  }

  private handle(frame: Frame): void | Promise<void> {
    if (frame.kind !== frameMessage) return this.listener.onOutput(frame.kind, frame.payload);
    const incoming = parseIncoming(frame.payload);
    switch (incoming.kind) {
      case "hello":
        this.greet(incoming.hello);
        return;
      case "answer":
        this.settle(incoming.answer);
        return;
      case "event":
        this.listener.onEvent(incoming.event);
        return;
    }
  }

  private greet(hello: HelloReply): void {
    if (this.state.state !== "greeting") throw new RuntimeError("internal", "a second hello");
    if (!isSpoken(hello.protocol)) {
      throw new RuntimeError(
        "failed-precondition",
        `speaks protocol ${hello.protocol}, not ${protocolVersion}`,
      );
    }
    const { greeted } = this.state;
    this.state = { state: "open" };
    greeted(hello);
  }

  /** An answer that nobody waits for any more is dropped: its request was given up. */
  private settle(answer: Answer): void {
    const request = this.pending.get(answer.seq);
    this.pending.delete(answer.seq);
    if ("error" in answer) {
      request?.reject(answer.error);
    } else {
      request?.resolve(answer.ok);
    }
  }

  private end(reason: RuntimeError): void {
    if (this.state.state === "closed") return;
    this.state = { state: "closed", reason };
    this.socket.destroy();
    for (const request of this.pending.values()) request.reject(reason);
    this.pending.clear();
    this.settleClosed(reason);
  }
}
