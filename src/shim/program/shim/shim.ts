import type { CreateRequest, PrepareRequest } from "../../protocol/messages.ts";
import { openCgroup, removeParents } from "../cgroup/index.ts";
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
import { Creator } from "./creation.ts";

/** How long a cgroup that nobody ever was in may take to go. */
const dismissTimeoutMs = 1_000;

/** A shim that has no container yet. */
export interface WaitingShim {
  readonly id: string;
  readonly creator: Creator;
}

/** Turns this process into a shim that waits for its container's request, with a creator that makes the cgroup. */
export function prepareShim({ id, cgroup }: PrepareRequest, loop: Loop, context: Context): WaitingShim {
  setName("berth-shim");
  C.setsid();
  prctl(PR.SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER");
  return { id, creator: new Creator(cgroup, context.hierarchies, loop) };
}

/** Ends a shim that never had a container: calls `done` once the cgroup that was made for it is removed, and exits. */
export function dismissShim(
  { id, creator }: WaitingShim,
  context: Context,
  done: (this: void) => void,
): void {
  creator.whenPrepared((prepared) => {
    creator.abandon();
    if ("cgroup" in prepared) {
      pcall(() => {
        openCgroup(prepared.cgroup, context.hierarchies).destroy(dismissTimeoutMs);
        removeParents(prepared.parents);
      });
    }
    leaveLeaf(context.hierarchies, id);
    done();
    exit(0);
  });
}

/**
 * Makes the container that `request` describes; the connection that brought it becomes the shim's first. Returns at
 * once: the caller's loop does the rest, and the process ends when the container is gone.
 */
export function becomeShim(
  { id, creator }: WaitingShim,
  request: CreateRequest,
  connection: Connection,
  loop: Loop,
  context: Context,
): void {
  const signals = signalFd([SIG.CHLD]);
  const container = new Container(request, loop, context, () => {
    clients.farewell(() => {
      leaveLeaf(context.hierarchies, id);
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
