import type { CreateRequest } from "../../protocol/messages.ts";
import { EPOLL, SIG } from "../ffi/constants.ts";
import { exit } from "../ffi/processes.ts";
import { readSignal, signalFd } from "../ffi/signals.ts";
import type { Context } from "../launcher/context.ts";
import { leaveLeaf } from "../launcher/own-cgroup.ts";
import type { Connection } from "../wire/connection.ts";
import type { Loop } from "../wire/loop.ts";
import { Clients } from "./clients.ts";
import { Container } from "./container.ts";
import type { Creator } from "./creation.ts";

/**
 * Makes the container that `request` describes; the connection that brought it becomes the shim's first. Returns at
 * once: the caller's loop does the rest, and the process ends when the container is gone.
 */
export function becomeShim(
  request: CreateRequest,
  creator: Creator,
  connection: Connection,
  leaf: string,
  loop: Loop,
  context: Context,
): void {
  const signals = signalFd([SIG.CHLD]);
  const container = new Container(request, loop, context, () => {
    clients.farewell(() => {
      leaveLeaf(context.hierarchies, leaf);
      exit(0);
    });
  });
  const clients = new Clients(container, loop, context, request.socket);
  loop.add(signals, EPOLL.IN, () => {
    readSignal(signals);
    container.reapChildren();
  });
  clients.adopt(connection);
  container.create(creator, connection, () => {
    clients.listen();
  });
}
