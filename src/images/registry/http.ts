import type { SecureContext } from "node:tls";
import { Agent, ProxyAgent, request, type Dispatcher } from "undici";
import { RuntimeError } from "../../core/errors.ts";
import { paced } from "./pace.ts";
import type { ProxyChooser } from "./proxy.ts";
import { machineRoots, plainTransport, secureContextOf, type Transport } from "./transport.ts";
import { sendWatched, type UploadBody } from "./upload-body.ts";

/** An HTTP answer; its body must be read or dumped. */
export type Answer = Dispatcher.ResponseData;

/** Sends one request and follows nothing. */
export interface Http {
  send(url: URL, options: SendOptions): Promise<Answer>;
  /** The proxy that a URL is reached by, without its credentials; undefined where there is none. */
  proxyOf(url: URL): string | undefined;
  close(): Promise<void>;
}

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface SendOptions {
  readonly method: Method;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body?: string | UploadBody;
  /** TLS with the machine's authorities where absent. */
  readonly transport?: Transport;
  readonly signal: AbortSignal;
}

/** Connections to one host; a download takes one. */
const maxConnectionsPerHost = 8;
const maxHeaderBytes = 32 * 1024;
/** Kinds of connection that are kept for reuse; one that is dropped closes by itself when its last request is done. */
const maxDispatchers = 64;

/** Stall times that a server may take to confirm a body: it hashes, and perhaps moves, gigabytes. */
const stallsForAnswer = 10;

/** How long a registry may stay silent. */
export interface HttpTimeouts {
  readonly connectTimeoutMs: number;
  /** Without an answer's header, or between two pieces of its body. */
  readonly stallTimeoutMs: number;
}

/** Opens the HTTP client: connections are shared by requests of one transport to one host by one proxy. */
export function openHttp(timeouts: HttpTimeouts, proxyFor: ProxyChooser): Http {
  const dispatchers = new Map<string, Dispatcher>();
  const roots: { found?: readonly string[] } = {};

  const secure = (transport: Transport): SecureContext =>
    secureContextOf(transport, (roots.found ??= machineRoots()));

  const dispatcherFor = (scheme: string, transport: Transport, proxy: URL | undefined): Dispatcher => {
    const key = `${scheme} ${transport.key} ${proxy?.href ?? ""}`;
    const known = dispatchers.get(key);
    if (known !== undefined) return known;
    if (dispatchers.size >= maxDispatchers) dispatchers.clear();
    const timeout = transport.connectTimeoutMs ?? timeouts.connectTimeoutMs;
    const tls = {
      ...(scheme === "https:" && { secureContext: secure(transport) }),
      rejectUnauthorized: transport.verification === "verified",
      timeout,
    };
    const options = {
      connections: maxConnectionsPerHost,
      headersTimeout: timeouts.stallTimeoutMs,
      bodyTimeout: timeouts.stallTimeoutMs,
      maxHeaderSize: maxHeaderBytes,
      // One connection a download: streams that share one would also share its window.
      allowH2: false,
    };
    const made =
      proxy === undefined
        ? new Agent({ ...options, connect: tls })
        : new ProxyAgent({
            ...options,
            uri: proxy.href,
            requestTls: tls,
            proxyTls: {
              ...(proxy.protocol === "https:" && { secureContext: secure(plainTransport) }),
              timeout,
            },
          });
    dispatchers.set(key, made);
    return made;
  };

  return {
    send: (url, { method, headers, body, transport, signal }) => {
      const common = {
        dispatcher: dispatcherFor(url.protocol, transport ?? plainTransport, proxyFor(url)),
        method,
        headers: { "user-agent": "berth", ...headers },
      };
      if (typeof body !== "object") return request(url, { ...common, body: body ?? null, signal });
      const limits = { ...timeouts, answerTimeoutMs: timeouts.stallTimeoutMs * stallsForAnswer };
      return sendWatched(body, limits, signal, (stream, watched) =>
        request(url, {
          ...common,
          headers: { ...common.headers, "content-length": String(body.sizeBytes) },
          body: stream,
          // undici's own clock runs while a large body is under way.
          headersTimeout: 0,
          signal: watched,
        }),
      );
    },
    proxyOf: (url) => proxyFor(url)?.host,
    close: async () => {
      await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

/** Reads a body that must be small; throws `failed-precondition` beyond the limit. */
export async function readSmall(answer: Answer, maxBytes: number, what: string): Promise<Buffer> {
  const tooLarge = (): RuntimeError =>
    new RuntimeError("failed-precondition", `${what}: larger than ${maxBytes} bytes`);
  if (Number(answer.headers["content-length"] ?? 0) > maxBytes) {
    discard(answer);
    throw tooLarge();
  }
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of paced(answer.body as AsyncIterable<Buffer>)) {
    total += chunk.length;
    if (total > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, total);
}

/** Ends an answer whose body is not wanted, which undici tells as an error that nobody else waits for. */
export function discard({ body }: Answer): void {
  body.on("error", () => undefined);
  body.destroy();
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
