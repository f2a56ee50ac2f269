import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** Answers an upgrade request that is not granted, and closes. */
export function refuse(
  socket: Duplex,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = `${message}\n`;
  socket.end(
    head(status, {
      ...headers,
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": String(Buffer.byteLength(body)),
      Connection: "close",
    }) + body,
    () => {
      // HTTP's sockets may be half-open: without this a client that keeps its end keeps ours.
      socket.destroy();
    },
  );
}

/** Grants an upgrade: from here on the socket speaks another protocol. */
export function switchProtocols(socket: Duplex, headers: Readonly<Record<string, string>>): void {
  socket.write(head(101, { Connection: "Upgrade", ...headers }));
}

function head(status: number, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n`;
}
