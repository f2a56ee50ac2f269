import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { refuse } from "../http-response.ts";
import { chooseProtocol, listedIn } from "../protocols.ts";

/** The largest message of a client, as in Kubernetes' own server; some clients send a whole file as one. */
const maxMessageBytes = 32 * 1024 * 1024;

/**
 * Grants an upgrade to a WebSocket with the best common subprotocol (RFC 6455 section 4.2); or refuses it with 400,
 * and gives undefined.
 */
export function negotiateWebSocket<T extends { readonly name: string }>(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  spoken: readonly T[],
): { readonly webSocket: WebSocket; readonly protocol: T } | undefined {
  const listed = listedIn(request.headers["sec-websocket-protocol"]);
  const offered = listed.length === 0 ? [""] : listed;
  const protocol = chooseProtocol(offered, spoken);
  if (protocol === undefined) {
    const names = spoken.flatMap(({ name }) => (name === "" ? [] : [name])).join(", ");
    refuse(socket, 400, `unable to upgrade: client speaks ${offered.join(", ")}, server ${names}`);
    return undefined;
  }
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  // The library takes only names of RFC 7230's tokens; Kubernetes' `SPDY/3.1+portforward.k8s.io` is none.
  delete request.headers["sec-websocket-protocol"];
  if (protocol.name !== "") {
    server.on("headers", (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol.name}`));
  }
  // The library refuses a malformed handshake itself, and calls back before it returns.
  let accepted: WebSocket | undefined;
  server.handleUpgrade(request, socket, head, (webSocket) => {
    accepted = webSocket;
  });
  return accepted === undefined ? undefined : { webSocket: accepted, protocol };
}
