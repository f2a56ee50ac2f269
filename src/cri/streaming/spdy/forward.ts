import type { Duplex } from "node:stream";
import { asRuntimeError } from "../../../core/errors.ts";
import type { StreamingBackend } from "../backend.ts";
import { forward } from "../forward.ts";
import { maxForwardedConnections } from "../limits.ts";
import type { ConnectionTiming } from "../timing.ts";
import { SpdyConnection } from "./connection.ts";
import { resetStatus, type Headers, type ResetStatus } from "./frames.ts";
import type { SpdyStream } from "./stream.ts";

/**
 * Serves a client's port-forward session over SPDY until it leaves: a pair of streams, data and error, for each
 * connection into the pod, tied together by the header `requestID`.
 */
export async function serveSpdyForward(
  transport: Duplex,
  podId: string,
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<void> {
  const pairs = new StreamPairs(podId, backend, timing);
  const connection = new SpdyConnection(transport, pairs, timing);
  await new Promise<void>((resolve) => {
    connection.signal.addEventListener("abort", () => {
      resolve();
    });
  });
  pairs.close();
}

interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
  readonly timer: NodeJS.Timeout;
}

/** The pairs of which one stream is still missing. */
class StreamPairs {
  readonly #podId: string;
  readonly #backend: StreamingBackend;
  readonly #timing: ConnectionTiming;
  readonly #pairs = new Map<string, Pair>();

  constructor(podId: string, backend: StreamingBackend, timing: ConnectionTiming) {
    this.#podId = podId;
    this.#backend = backend;
    this.#timing = timing;
  }

  check = (headers: Headers, openStreams: number): ResetStatus | undefined => {
    if (openStreams >= 2 * maxForwardedConnections) return resetStatus.refusedStream;
    const isValid = typeIn(headers) !== undefined && portIn(headers) !== undefined;
    return isValid ? undefined : resetStatus.protocolError;
  };

  opened = (stream: SpdyStream): void => {
    const type = typeIn(stream.headers);
    const port = portIn(stream.headers);
    if (type === undefined || port === undefined) return;
    const id = requestIdOf(stream, type);
    const pair = this.#pairs.get(id) ?? this.#begin(id);
    if (pair[type] !== undefined) {
      stream.reset(resetStatus.protocolError);
      return;
    }
    pair[type] = stream;
    // Nothing is to come on an error stream.
    if (type === "error") stream.incoming.discard();
    const { data, error } = pair;
    if (data === undefined || error === undefined) return;
    this.#forget(id, pair);
    void this.#serve(port, data, error);
  };

  close(): void {
    for (const [id, pair] of this.#pairs) this.#forget(id, pair);
  }

  #begin(id: string): Pair {
    const timer = setTimeout(() => {
      void this.#expire(id, pair);
    }, this.#timing.streamCreationTimeoutMs);
    const pair: Pair = { timer };
    this.#pairs.set(id, pair);
    return pair;
  }

  #forget(id: string, pair: Pair): void {
    clearTimeout(pair.timer);
    this.#pairs.delete(id);
  }

  async #expire(id: string, pair: Pair): Promise<void> {
    this.#forget(id, pair);
    await pair.error?.write(Buffer.from(`request ${id}: the client did not open both its streams in time`));
    pair.error?.end();
    pair.data?.reset(resetStatus.cancel);
  }

  /** The error stream speaks only where no connection was made: clients take any word on it for the session's end. */
  async #serve(port: number, data: SpdyStream, error: SpdyStream): Promise<void> {
    try {
      const connection = await this.#backend.portForward(this.#podId, port, data.signal);
      const end = await forward(toForwarded(data), connection);
      if (end === "torn") data.reset(resetStatus.cancel);
    } catch (thrown) {
      const reason = asRuntimeError(thrown).message;
      await error.write(Buffer.from(`error forwarding port ${port} to pod ${this.#podId}: ${reason}`));
      data.reset(resetStatus.internalError);
    }
    error.end();
  }
}

function toForwarded(stream: SpdyStream) {
  return {
    incoming: stream.incoming,
    write: (bytes: Buffer) => stream.write(bytes),
    end: () => {
      stream.end();
    },
    signal: stream.signal,
  };
}

function typeIn(headers: Headers): "data" | "error" | undefined {
  const type = headers.get("streamtype");
  return type === "data" || type === "error" ? type : undefined;
}

function portIn(headers: Headers): number | undefined {
  const text = headers.get("port") ?? "";
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** Clients older than Kubernetes 1.2 name no request: their error stream comes first, the data stream right after. */
function requestIdOf(stream: SpdyStream, type: "data" | "error"): string {
  const id = stream.headers.get("requestid") ?? "";
  return id !== "" ? id : String(type === "error" ? stream.id : stream.id - 2);
}
