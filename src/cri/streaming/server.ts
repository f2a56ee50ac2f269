import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { RuntimeError } from "../../core/errors.ts";
import type { Logger } from "../../core/logger.ts";
import type { AttachRequest, ExecRequest, PortForwardRequest, StreamingBackend } from "./backend.ts";
import type { CommandRequest } from "./command.ts";
import { refuse } from "./http-response.ts";
import { maxConnections } from "./limits.ts";
import { serveSession } from "./session.ts";
import { defaultTiming, type ConnectionTiming } from "./timing.ts";
import { Tokens } from "./tokens.ts";

/** Where the server listens. */
export interface StreamingOptions {
  /** An address of the host; loopback, unless the node's network is trusted: whoever holds a token needs no other. */
  readonly host: string;
  /** 0 is any free port. */
  readonly port: number;
  readonly timing?: ConnectionTiming;
}

/** Loopback, any port. */
export const defaultStreamingOptions: StreamingOptions = { host: "127.0.0.1", port: 0 };

/** What a token stands for. */
export type StreamingRequest =
  CommandRequest | { readonly kind: "portforward"; readonly forward: PortForwardRequest };

/** Gives out URLs, each good for one connection within a minute. All throw `resource-exhausted` where too many wait. */
export interface StreamingServer extends AsyncDisposable {
  readonly exec: (request: ExecRequest) => string;
  readonly attach: (request: AttachRequest) => string;
  readonly portForward: (request: PortForwardRequest) => string;
}

/** Serves exec, attach and port-forward over HTTP upgrades to SPDY/3.1 or WebSocket. Disposing cuts all connections. */
export async function startStreamingServer(
  options: StreamingOptions,
  backend: StreamingBackend,
  logger: Logger,
): Promise<StreamingServer> {
  const tokens = new Tokens<StreamingRequest>();
  const sockets = new Set<Duplex>();
  const server = createServer((request, response) => {
    const isKnown = request.url !== undefined && redeem(tokens, request.url) !== undefined;
    response.writeHead(isKnown ? 400 : 404, {
      "Content-Type": "text/plain; charset=utf-8",
      Connection: "close",
    });
    response.end(
      isKnown ? "an upgrade to SPDY/3.1 or websocket is expected\n" : "unknown, used or expired token\n",
    );
  });
  server.maxConnections = maxConnections;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => undefined);
    const redeemed = redeem(tokens, request.url ?? "");
    if (redeemed === undefined) {
      refuse(socket, 404, "unknown, used or expired token");
      return;
    }
    void serveSession({ request, socket, head }, redeemed, backend, options.timing ?? defaultTiming, logger);
  });
  const base = await listen(server, options);
  const issue = (request: StreamingRequest): string => `${base}/${request.kind}/${tokens.issue(request)}`;
  return {
    exec: (exec) => issue({ kind: "exec", exec }),
    attach: (attach) => issue({ kind: "attach", attach }),
    portForward: (forward) => issue({ kind: "portforward", forward }),
    [Symbol.asyncDispose]: () => close(server, sockets),
  };
}

/** A token opens only the path that it was given out with, and is used up by any attempt. */
function redeem(tokens: Tokens<StreamingRequest>, url: string): StreamingRequest | undefined {
  const [, kind, token = ""] = /^\/(exec|attach|portforward)\/([\w-]{1,64})(?:\?|$)/.exec(url) ?? [];
  const request = tokens.redeem(token);
  return request?.kind === kind ? request : undefined;
}

function listen(server: Server, { host, port }: StreamingOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", (thrown) => {
      reject(new RuntimeError("internal", `streaming server: ${thrown.message}`, { cause: thrown }));
    });
    server.listen({ host, port }, () => {
      const { address, family, port: bound } = server.address() as AddressInfo;
      resolve(`http://${family === "IPv6" ? `[${address}]` : address}:${bound}`);
    });
  });
}

function close(server: Server, sockets: ReadonlySet<Duplex>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    for (const socket of sockets) socket.destroy();
  });
}
