import type { Duplex } from "node:stream";
import type { StreamingBackend } from "../backend.ts";
import { runCommand, streamsOf, type CommandRequest } from "../command.ts";
import { encodeOutcome, type Outcome } from "../outcome.ts";
import type { CommandProtocol } from "../protocols.ts";
import type { ConnectionTiming } from "../timing.ts";
import { SpdyConnection } from "./connection.ts";
import { resetStatus, type Headers, type ResetStatus } from "./frames.ts";
import type { SpdyStream } from "./stream.ts";

const streamTypes = ["error", "stdin", "stdout", "stderr", "resize"] as const;

type StreamType = (typeof streamTypes)[number];

/** Serves an exec or an attach over SPDY: one stream each for error, stdin, stdout, stderr and resize. */
export async function serveSpdyCommand(
  transport: Duplex,
  protocol: CommandProtocol,
  request: CommandRequest,
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<Outcome> {
  const streams = new CommandStreams(neededStreams(protocol, request));
  const connection = new SpdyConnection(transport, streams, timing);
  const { signal } = connection;
  const missing = await streams.gathered(timing.streamCreationTimeoutMs, signal);
  const outcome =
    missing === undefined
      ? await runCommand(request, streams.channels(request, signal), backend)
      : ({ kind: "failed", message: missing } as const);
  const bytes = encodeOutcome(outcome, protocol.outcome);
  if (bytes !== undefined) await streams.get("error")?.write(bytes);
  await connection.finish();
  return outcome;
}

function neededStreams(protocol: CommandProtocol, request: CommandRequest): readonly StreamType[] {
  const { stdin, stdout, stderr, tty } = streamsOf(request);
  const wanted = { error: true, stdin, stdout, stderr, resize: tty && protocol.resizes };
  return streamTypes.filter((type) => wanted[type]);
}

/** The streams of one command, as the client opens them. */
class CommandStreams {
  readonly #needed: readonly StreamType[];
  readonly #streams = new Map<StreamType, SpdyStream>();
  readonly #complete = Promise.withResolvers<undefined>();

  constructor(needed: readonly StreamType[]) {
    this.#needed = needed;
  }

  get(type: StreamType): SpdyStream | undefined {
    return this.#streams.get(type);
  }

  check = (headers: Headers): ResetStatus | undefined => {
    const type = typeIn(headers);
    return type === undefined || this.#streams.has(type) ? resetStatus.protocolError : undefined;
  };

  opened = (stream: SpdyStream): void => {
    const type = typeIn(stream.headers);
    if (type === undefined) return;
    this.#streams.set(type, stream);
    // What nobody asked for is dropped, so that it does not stop the rest.
    if (!this.#needed.includes(type)) stream.incoming.discard();
    if (this.#missing().length === 0) this.#complete.resolve(undefined);
  };

  /** Waits for the streams that the request names; gives words where they did not come. */
  async gathered(timeoutMs: number, signal: AbortSignal): Promise<string | undefined> {
    const expired = Promise.withResolvers<undefined>();
    const leave = (): void => {
      expired.resolve(undefined);
    };
    const timer = setTimeout(leave, timeoutMs);
    signal.addEventListener("abort", leave, { once: true });
    await Promise.race([this.#complete.promise, expired.promise]);
    clearTimeout(timer);
    signal.removeEventListener("abort", leave);
    const missing = this.#missing();
    if (signal.aborted) return "the client left";
    return missing.length === 0
      ? undefined
      : `the client did not open its streams in time: ${missing.join(", ")}`;
  }

  channels(request: CommandRequest, signal: AbortSignal) {
    const { stdin } = streamsOf(request);
    const send = (type: StreamType) => async (bytes: Buffer) => {
      if (this.#needed.includes(type)) await this.#streams.get(type)?.write(bytes);
    };
    return {
      stdin: stdin ? this.#streams.get("stdin")?.incoming : undefined,
      stdout: send("stdout"),
      stderr: send("stderr"),
      resizes: this.#needed.includes("resize") ? this.#streams.get("resize")?.incoming : undefined,
      signal,
    };
  }

  #missing(): StreamType[] {
    return this.#needed.filter((type) => !this.#streams.has(type));
  }
}

function typeIn(headers: Headers): StreamType | undefined {
  const value = headers.get("streamtype");
  return streamTypes.find((type) => type === value);
}
