import type { AnyRequest, CreateRequest, PrepareRequest } from "../../protocol/messages.ts";
import { openCgroup, removeParents } from "../cgroup/index.ts";
import { EPOLL, PR } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { close } from "../ffi/files.ts";
import { exit, prctl, setName } from "../ffi/processes.ts";
import { accept } from "../ffi/sockets.ts";
import type { Context } from "../launcher/context.ts";
import { leaveLeaf } from "../launcher/own-cgroup.ts";
import { Connection } from "../wire/connection.ts";
import { frameReader, replyError, replyOk, unknownRequest } from "../wire/greeting.ts";
import { Loop } from "../wire/loop.ts";
import { Creator } from "./creation.ts";
import { becomeShim } from "./shim.ts";

/** How long a client may take to say which container it wants. */
const requestTimeoutMs = 30_000;

/** How long a cgroup that nobody ever was in may take to go. */
const dismissTimeoutMs = 1_000;

/** A shim that has no container yet, from the fork ahead to the request that makes it one. */
interface NewShim {
  /** Its own cgroup, below the launcher's. */
  readonly leaf: string;
  readonly creator: Creator;
  readonly loop: Loop;
  readonly context: Context;
  /** The container that it was prepared for. */
  id?: string;
}

/** Waits for a client, serves it and becomes the shim of its container. Ends with the launcher until somebody came. */
export function awaitContainer(listener: number, leash: number, leaf: string, context: Context): never {
  C.setsid();
  prctl(PR.SET_CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER");
  const loop = new Loop();
  const shim: NewShim = { leaf, creator: new Creator(context.hierarchies, loop), loop, context };
  loop.add(leash, EPOLL.IN, () => {
    leave(shim);
  });
  loop.add(listener, EPOLL.IN, () => {
    const client = accept(listener);
    if (client === undefined) return;
    for (const fd of [listener, leash]) {
      loop.remove(fd);
      close(fd);
    }
    serve(client, shim);
  });
  loop.run();
  return exit(0);
}

function serve(client: number, shim: NewShim): void {
  const { loop, context } = shim;
  const timeout = loop.after(requestTimeoutMs, () => {
    connection.close();
  });
  const reader = frameReader(context.identity, () => connection, {
    onRequest: (request) => {
      loop.cancel(timeout);
      answer(request, connection, shim);
    },
  });
  const connection = new Connection(loop, client, {
    onFrame: reader,
    onClose: () => {
      dismiss(shim, () => undefined);
    },
  });
}

function answer(request: AnyRequest, connection: Connection, shim: NewShim): void {
  switch (request.type) {
    case "prepare":
      prepare(request, connection, shim);
      return;
    case "create":
      create(request, connection, shim);
      return;
    case "delete":
      dismiss(shim, () => {
        replyOk(connection, request.seq, {});
      });
      return;
    default:
      unknownRequest(request.type);
  }
}

function prepare({ seq, id, cgroup }: PrepareRequest, connection: Connection, shim: NewShim): void {
  if (shim.id !== undefined) {
    throw failure("failed-precondition", `prepare: this shim was prepared for ${shim.id}`);
  }
  shim.id = id;
  setName("berth-shim");
  shim.creator.place(cgroup);
  shim.creator.whenPlaced((placed) => {
    if ("problem" in placed) replyError(connection, seq, placed.problem);
    else replyOk(connection, seq, {});
  });
}

function create(request: CreateRequest, connection: Connection, shim: NewShim): void {
  const { id, leaf, creator, loop, context } = shim;
  if (id !== request.id) {
    throw failure("failed-precondition", `create: no shim was prepared for ${request.id}`);
  }
  becomeShim(request, creator, connection, leaf, loop, context);
}

/** Ends a shim that never had a container: calls `done` once the cgroup that was made for it is removed, and exits. */
function dismiss(shim: NewShim, done: (this: void) => void): void {
  const { creator, context } = shim;
  if (shim.id === undefined) {
    done();
    leave(shim);
  }
  creator.whenPlaced((placed) => {
    creator.abandon();
    if ("cgroup" in placed) {
      pcall(() => {
        openCgroup(placed.cgroup, context.hierarchies).destroy(dismissTimeoutMs);
        removeParents(placed.parents);
      });
    }
    done();
    leave(shim);
  });
}

function leave({ leaf, context }: NewShim): never {
  leaveLeaf(context.hierarchies, leaf);
  return exit(0);
}
