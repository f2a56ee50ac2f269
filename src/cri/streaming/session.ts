import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "../../core/logger.ts";
import type { PortForwardRequest, StreamingBackend } from "./backend.ts";
import type { CommandRequest } from "./command.ts";
import { refuse } from "./http-response.ts";
import type { Outcome } from "./outcome.ts";
import { commandProtocols, portForwardProtocol } from "./protocols.ts";
import type { StreamingRequest } from "./server.ts";
import { serveSpdyCommand } from "./spdy/command.ts";
import { serveSpdyForward } from "./spdy/forward.ts";
import { negotiateSpdy, spdyUpgrade } from "./spdy/negotiate.ts";
import type { ConnectionTiming } from "./timing.ts";
import { serveWebSocketCommand } from "./websocket/command.ts";
import { maxPorts, serveWebSocketForward } from "./websocket/forward.ts";
import { negotiateWebSocket } from "./websocket/negotiate.ts";
import { commandChannelProtocols, forwardChannelProtocols, spdyTunnelPrefix } from "./websocket/protocols.ts";
import { tunnel } from "./websocket/tunnel.ts";

/** A client that asks to leave HTTP. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came after the request's headers. */
  readonly head: Buffer;
}

/** How a session ended; `refused` is a request that named no protocol that is spoken. */
type SessionEnd = Outcome | typeof refused;

const refused = { kind: "refused" } as const;

/** Serves one client from its upgrade to its end, and logs that once; never throws. */
export async function serveSession(
  upgrade: Upgrade,
  streaming: StreamingRequest,
  backend: StreamingBackend,
  timing: ConnectionTiming,
  logger: Logger,
): Promise<void> {
  const started = performance.now();
  const subject = subjectOf(streaming);
  (upgrade.socket as Partial<Socket>).setNoDelay?.(true);
  try {
    const end =
      streaming.kind === "portforward"
        ? await serveForward(upgrade, streaming.forward, backend, timing)
        : await serveCommand(upgrade, streaming, backend, timing);
    const ms = Math.round(performance.now() - started);
    logger.info(`streaming ${streaming.kind}`, { ...subject, ms, ...describe(end) });
  } catch (thrown) {
    upgrade.socket.destroy();
    logger.error(`streaming ${streaming.kind}`, { ...subject, error: String(thrown) });
  }
}

async function serveCommand(
  { request, socket, head }: Upgrade,
  command: CommandRequest,
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<SessionEnd> {
  switch (wireProtocol(request)) {
    case "spdy": {
      const protocol = negotiateSpdy(request, socket, commandProtocols);
      if (protocol === undefined) return refused;
      if (head.length > 0) socket.unshift(head);
      return serveSpdyCommand(socket, protocol, command, backend, timing);
    }
    case "websocket": {
      const granted = negotiateWebSocket(request, socket, head, commandChannelProtocols);
      if (granted === undefined) return refused;
      return serveWebSocketCommand(granted.webSocket, granted.protocol, command, backend, timing);
    }
    case undefined:
      refuseOther(socket);
      return refused;
  }
}

async function serveForward(
  upgrade: Upgrade,
  forward: PortForwardRequest,
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<SessionEnd> {
  const { request, socket, head } = upgrade;
  switch (wireProtocol(request)) {
    case "spdy": {
      const protocol = negotiateSpdy(request, socket, [{ name: portForwardProtocol }]);
      if (protocol === undefined) return refused;
      if (head.length > 0) socket.unshift(head);
      await serveSpdyForward(socket, forward.podId, backend, timing);
      return { kind: "success" };
    }
    case "websocket":
      return serveForwardOverWebSocket(upgrade, forward, backend, timing);
    case undefined:
      refuseOther(socket);
      return refused;
  }
}

async function serveForwardOverWebSocket(
  { request, socket, head }: Upgrade,
  { podId, ports: named }: PortForwardRequest,
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<SessionEnd> {
  const ports = named.length > 0 ? named : portsInQuery(request.url ?? "");
  const isTunnel = (request.headers["sec-websocket-protocol"] ?? "").includes(spdyTunnelPrefix);
  if (!isTunnel && (ports === undefined || ports.length === 0 || ports.length > maxPorts)) {
    refuse(socket, 400, `1 to ${maxPorts} ports from 1 to 65535 are expected, in the request or as port=`);
    return refused;
  }
  const granted = negotiateWebSocket(request, socket, head, forwardChannelProtocols);
  if (granted === undefined) return refused;
  const { webSocket, protocol } = granted;
  if (protocol.carries === "spdy") await serveSpdyForward(tunnel(webSocket), podId, backend, timing);
  else await serveWebSocketForward(webSocket, protocol.codec, podId, ports ?? [], backend, timing);
  return { kind: "success" };
}

/** `port=80&port=81,82`; undefined where one is no port. */
function portsInQuery(url: string): readonly number[] | undefined {
  const listed = new URL(url, "http://localhost").searchParams
    .getAll("port")
    .flatMap((list) => list.split(","));
  const ports = listed.map((text) => (/^\d{1,5}$/.test(text) ? Number(text) : 0));
  return ports.every((port) => port >= 1 && port <= 65_535) ? ports : undefined;
}

function wireProtocol(request: IncomingMessage): "spdy" | "websocket" | undefined {
  const upgrade = (request.headers.upgrade ?? "").toLowerCase();
  if (upgrade === "websocket") return "websocket";
  return upgrade.includes(spdyUpgrade.toLowerCase()) ? "spdy" : undefined;
}

function refuseOther(socket: Duplex): void {
  refuse(socket, 400, "unable to upgrade: an upgrade to SPDY/3.1 or websocket is expected");
}

function subjectOf(streaming: StreamingRequest): Readonly<Record<string, string>> {
  switch (streaming.kind) {
    case "exec":
      return { container: streaming.exec.containerId };
    case "attach":
      return { container: streaming.attach.containerId };
    case "portforward":
      return { pod: streaming.forward.podId };
  }
}

function describe(end: SessionEnd): Readonly<Record<string, string | number>> {
  if (end.kind === "exited") return { result: end.kind, exitCode: end.exitCode };
  return end.kind === "failed" ? { result: end.kind, error: end.message } : { result: end.kind };
}
