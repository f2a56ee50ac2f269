import type { Duplex } from "node:stream";
import { createWebSocketStream, type WebSocket } from "ws";

/** The bytes in a WebSocket's binary messages as one stream, for SPDY to run over it. */
export function tunnel(webSocket: WebSocket): Duplex {
  const stream = createWebSocketStream(webSocket, { allowHalfOpen: false });
  // A client that is gone shows itself by the stream's end; its error has no other reader.
  stream.on("error", () => undefined);
  return stream;
}
