import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { refuse, switchProtocols } from "../http-response.ts";
import { chooseProtocol, listedIn } from "../protocols.ts";

/** What an upgrade to SPDY asks for in its Upgrade header. */
export const spdyUpgrade = "SPDY/3.1";

/**
 * Grants an upgrade to SPDY/3.1 with the best common protocol on top, named by X-Stream-Protocol-Version; or refuses
 * it, 400 for a request that names none and 403 where none is spoken, and gives undefined.
 */
export function negotiateSpdy<T extends { readonly name: string }>(
  request: IncomingMessage,
  socket: Duplex,
  spoken: readonly T[],
): T | undefined {
  const offered = listedIn(request.headers["x-stream-protocol-version"]);
  if (offered.length === 0) {
    refuse(socket, 400, "unable to upgrade: header X-Stream-Protocol-Version is missing");
    return undefined;
  }
  const protocol = chooseProtocol(offered, spoken);
  if (protocol === undefined) {
    const names = spoken.map(({ name }) => name).join(", ");
    const message = `unable to upgrade: client speaks ${offered.join(", ")}, server ${names}`;
    refuse(socket, 403, message, { "X-Accepted-Stream-Protocol-Versions": names });
    return undefined;
  }
  switchProtocols(socket, { Upgrade: spdyUpgrade, "X-Stream-Protocol-Version": protocol.name });
  return protocol;
}
