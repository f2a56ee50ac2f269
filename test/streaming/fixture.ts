import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLogger } from "../../src/core/logger.ts";
import {
  startStreamingServer,
  type AttachRequest,
  type CommandIo,
  type ExecRequest,
  type StreamingBackend,
  type StreamingServer,
} from "../../src/cri/streaming/index.ts";
import type { ConnectionTiming } from "../../src/cri/streaming/timing.ts";

/** Times that let a test end soon. */
export const testTiming: ConnectionTiming = {
  streamCreationTimeoutMs: 300,
  idleTimeoutMs: 60_000,
  lingerMs: 300,
  probeIntervalMs: 50,
};

/** A request for an exec, of a container `c1`. */
export function execRequest(change: Partial<ExecRequest> = {}): ExecRequest {
  return {
    containerId: "c1",
    cmd: ["cat"],
    tty: false,
    stdin: true,
    stdout: true,
    stderr: true,
    ...change,
  };
}

type Command = (io: CommandIo, request: ExecRequest | AttachRequest) => Promise<number>;

/** A server whose containers run `command` and whose pods' ports are this machine's. */
export async function startServer(
  command: Command,
  timing: Partial<ConnectionTiming> = {},
): Promise<StreamingServer> {
  const backend: StreamingBackend = {
    exec: async (request, io) => ({ exitCode: await command(io, request) }),
    attach: async (request, io) => {
      await command(io, request);
    },
    portForward: async (_podId, port) => {
      const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
      await once(socket, "connect");
      return socket;
    },
  };
  const options = { host: "127.0.0.1", port: 0, timing: { ...testTiming, ...timing } };
  return startStreamingServer(options, backend, silentLogger);
}

/** The command `cat`: gives back what comes. */
export const cat: Command = async (io) => {
  if (io.stdin !== undefined) for await (const bytes of io.stdin) await io.stdout(bytes);
  return 0;
};

/** A TCP server inside the pod; `port` is what to forward. */
export interface PodServer extends AsyncDisposable {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
}

/** Listens and hands each connection, which may be half-open, to `serve`. */
export async function startPodServer(serve: (socket: Socket) => void): Promise<PodServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Waits until something is so. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let left = 500; left > 0; left--) {
    if (isSo()) return;
    await sleep(10);
  }
  throw new Error(`waited 5 s for ${what}`);
}

/** What of the event loop's is open: sockets, servers, timers, zlib contexts. */
export function openHandles(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    if (name === "Immediate" || name === "PipeWrap" || name === "TTYWrap") continue;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}
