import type { CreateRequest } from "../../protocol/messages.ts";
import { EPOLL, PR, SIG } from "../ffi/constants.ts";
import { C } from "../ffi/libc.ts";
import { exit, prctl, setName } from "../ffi/processes.ts";
import { readSignal, signalFd } from "../ffi/signals.ts";
import type { Context } from "../launcher/context.ts";
import { leaveLeaf } from "../launcher/own-cgroup.ts";
import type { Connection } from "../wire/connection.ts";
import type { Loop } from "../wire/loop.ts";
import { Clients } from "./clients.ts";
import { Container } from "./container.ts";

/**
 * Turns this process into the shim of the container that `request` describes; the connection that brought it becomes
 * its first. Returns at once: the caller's loop does the rest, and the process ends when the container is gone.
 */
export function becomeShim(
  request: CreateRequest,
  connection: Connection,
  loop: Loop,
  context: Context,
): void {
  setName("berth-shim");
  C.setsid();
  prctl(PR.SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER");
  const signals = signalFd([SIG.CHLD]);
  const container = new Container(request, loop, context, () => {
    clients.farewell(() => {
      leaveLeaf(context.hierarchies, request.id);
      exit(0);
    });
  });
  const clients = new Clients(container, loop, context, request.socket);
  loop.add(signals, EPOLL.IN, () => {
    readSignal(signals);
    container.reapChildren();
  });
  clients.adopt(connection);
  container.create(connection, () => {
    clients.listen();
  });
}
