import type { WebSocket } from "ws";
import { asRuntimeError } from "../../../core/errors.ts";
import type { StreamingBackend } from "../backend.ts";
import { forward } from "../forward.ts";
import type { ConnectionTiming } from "../timing.ts";
import { type ChannelCodec, maxChannels } from "./channels.ts";
import { ChannelConnection } from "./connection.ts";

/** The ports that one WebSocket can forward: each takes two channels. */
export const maxPorts = maxChannels / 2;

/**
 * Serves a port-forward session over a WebSocket: for each port one connection, its data on channel 2n and its error on
 * 2n + 1, each beginning with the port as two little-endian bytes. No channel can be closed alone: the session ends with
 * its last connection.
 */
export async function serveWebSocketForward(
  webSocket: WebSocket,
  codec: ChannelCodec,
  podId: string,
  ports: readonly number[],
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<void> {
  const incoming = ports.map((_port, index) => 2 * index);
  const connection = new ChannelConnection(webSocket, { codec, halfClose: false, incoming }, timing);
  const serve = async (port: number, index: number): Promise<void> => {
    const data = 2 * index;
    const error = data + 1;
    const name = Buffer.alloc(2);
    name.writeUInt16LE(port);
    await connection.send(data, name);
    await connection.send(error, name);
    const queue = connection.incoming(data);
    if (queue === undefined) return;
    try {
      const stream = {
        incoming: queue,
        write: (bytes: Buffer) => connection.send(data, bytes),
        end: () => undefined,
        signal: connection.signal,
      };
      await untilPodEnds(stream, await backend.portForward(podId, port, connection.signal));
    } catch (thrown) {
      const reason = asRuntimeError(thrown).message;
      await connection.send(error, Buffer.from(`error forwarding port ${port} to pod ${podId}: ${reason}`));
    }
    // What still comes for it is dropped, so that it does not stop the others.
    queue.discard();
  };
  await Promise.all(ports.map(serve));
  await connection.finish();
}

/** The client cannot say that it is done with one channel, so the pod's end is the end of both directions. */
async function untilPodEnds(
  stream: Parameters<typeof forward>[0],
  connection: Parameters<typeof forward>[1],
): Promise<void> {
  const ended = (): void => {
    connection.destroy();
  };
  await forward({ ...stream, end: ended }, connection);
}
