import { existsSync } from "node:fs";
import { chmod, chown, mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { RuntimeError } from "../core/errors.ts";
import { maxGrpcMessageBytes } from "../core/limits.ts";
import { unixAddress } from "../core/unix-address.ts";
import type { loadServices } from "./definition.ts";
import { takingEncoded } from "./encoded.ts";

/** Where the services are offered and to whom. */
export interface ServerOptions {
  readonly socket: string;
  /** Group that may connect besides root. */
  readonly groupId?: number;
}

/** The handlers of each service, by RPC name; an RPC without one is answered with UNIMPLEMENTED. */
export interface Services {
  readonly definitions: ReturnType<typeof loadServices>;
  readonly runtime: UntypedServiceImplementation;
  readonly image: UntypedServiceImplementation;
  readonly admin: UntypedServiceImplementation;
}

/** A server that answers until it is disposed of. */
export interface RunningServer extends AsyncDisposable {
  readonly socket: string;
}

/** How long calls under way have to end when the server stops; their jobs go on without them. */
const graceMs = 2_000;

/** Serves the CRI and the admin service on a unix socket, 0660; a stale socket is replaced, a live one is refused. */
export async function serve(options: ServerOptions, services: Services): Promise<RunningServer> {
  const { socket, groupId } = options;
  await mkdir(dirname(socket), { recursive: true, mode: 0o711 });
  await refuseLiveSocket(socket);
  await rm(socket, { force: true });
  const server = new Server({
    "grpc.max_receive_message_length": maxGrpcMessageBytes,
    "grpc.max_send_message_length": maxGrpcMessageBytes,
    // Statistics of every call for a service that is not offered.
    "grpc.enable_channelz": 0,
  });
  const { runtime, berth } = services.definitions;
  server.addService(takingEncoded(runtime.v1.RuntimeService.service), services.runtime);
  server.addService(takingEncoded(runtime.v1.ImageService.service), services.image);
  server.addService(takingEncoded(berth.v1.Admin.service), services.admin);
  // Kept as long as the server: it removes the socket by this name when it ends.
  using undo = new DisposableStack();
  const { address } = undo.use(unixAddress(socket));
  await bind(server, socket, address);
  // Until here nobody but root may write to it, and so connect.
  if (groupId !== undefined) await chown(socket, 0, groupId);
  await chmod(socket, 0o660);
  const kept = undo.move();
  return {
    socket,
    [Symbol.asyncDispose]: async () => {
      await shutdown(server);
      await rm(socket, { force: true });
      kept.dispose();
    },
  };
}

function bind(server: Server, socket: string, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${address}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else
        reject(
          new RuntimeError("internal", `cannot listen on ${socket}: ${error.message}`, { cause: error }),
        );
    });
  });
}

function shutdown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

/** Throws `failed-precondition` where somebody answers on a socket; nobody does on that of a daemon that was killed. */
export async function refuseLiveSocket(socket: string): Promise<void> {
  // Without its folder there is no socket either.
  if (!existsSync(dirname(socket))) return;
  using short = unixAddress(socket);
  const answered = await new Promise<boolean>((resolve) => {
    const connection = connect(short.address);
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.once("error", () => {
      resolve(false);
    });
  });
  if (answered) throw new RuntimeError("failed-precondition", `${socket} is served by another process`);
}
