import { Agent, request, type Dispatcher } from "undici";
import { RuntimeError } from "../../core/errors.ts";

/** An HTTP answer; its body must be read or dumped. */
export type Answer = Dispatcher.ResponseData;

/** Sends one request and follows nothing. */
export interface Http {
  send(url: URL, options: SendOptions): Promise<Answer>;
  close(): Promise<void>;
}

export interface SendOptions {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** Connections to one host; a download takes one. */
const maxConnectionsPerHost = 8;
const maxHeaderBytes = 32 * 1024;

/** How long a registry may stay silent. */
export interface HttpTimeouts {
  readonly connectTimeoutMs: number;
  /** Without an answer's header, or between two pieces of its body. */
  readonly stallTimeoutMs: number;
}

/** Opens the HTTP client; TLS certificates are checked against Node's roots. */
export function openHttp(timeouts: HttpTimeouts): Http {
  const agent = new Agent({
    connections: maxConnectionsPerHost,
    connect: { timeout: timeouts.connectTimeoutMs },
    headersTimeout: timeouts.stallTimeoutMs,
    bodyTimeout: timeouts.stallTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
  });
  return {
    send: (url, options) =>
      request(url, {
        dispatcher: agent,
        method: options.method,
        headers: { "user-agent": "berth", ...options.headers },
        body: options.body ?? null,
        signal: options.signal,
      }),
    close: () => agent.destroy(),
  };
}

/** Reads a body that must be small; throws `failed-precondition` beyond the limit. */
export async function readSmall(answer: Answer, maxBytes: number, what: string): Promise<Buffer> {
  const tooLarge = (): RuntimeError =>
    new RuntimeError("failed-precondition", `${what}: larger than ${maxBytes} bytes`);
  if (Number(answer.headers["content-length"] ?? 0) > maxBytes) {
    answer.body.destroy();
    throw tooLarge();
  }
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, total);
}

/** The beginning of an error's body; what fails or is too long is left out. */
export async function readErrorText(answer: Answer): Promise<string> {
  try {
    return (await readSmall(answer, maxErrorBytes, "error")).toString("utf8");
  } catch {
    return "";
  }
}

const maxErrorBytes = 16 * 1024;
