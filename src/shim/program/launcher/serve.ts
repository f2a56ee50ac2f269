import type { CreateRequest, LauncherRequest, PrepareRequest, ShimRequest } from "../../protocol/messages.ts";
import { SIG } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { failure } from "../ffi/error.ts";
import { clone, exit, kill, setName } from "../ffi/processes.ts";
import { createPod, destroy, removePod } from "../pods/index.ts";
import { type WaitingShim, becomeShim, dismissShim, prepareShim } from "../shim/shim.ts";
import { Connection } from "../wire/connection.ts";
import { frameReader, replyError, replyOk, unknownRequest } from "../wire/greeting.ts";
import { Loop } from "../wire/loop.ts";
import type { Context } from "./context.ts";
import { enterLeafV1, makeLeaf } from "./own-cgroup.ts";

/** How long a client may take until its request is complete. */
const requestTimeoutMs = 30_000;

/** Serves one connection in a child of the launcher, to its end. */
export function serveClient(client: number, context: Context): never {
  closeAllBut([client]);
  setName("berth-serve");
  const loop = new Loop();
  let waiting: WaitingShim | undefined;
  const timeout = loop.after(requestTimeoutMs, () => exit(1));
  const reader = frameReader(context.identity, () => connection, {
    onRequest: (request) => {
      loop.cancel(timeout);
      if (request.type === "prepare") waiting = prepare(request, connection, loop, context);
      else if (request.type === "create") create(request, waiting, connection, loop, context);
      else if (request.type === "delete" && waiting !== undefined) {
        dismissShim(waiting, context, () => {
          replyOk(connection, request.seq, {});
        });
      } else serve(request, connection, context);
    },
  });
  const connection = new Connection(loop, client, {
    onFrame: reader,
    onClose: () => {
      if (waiting === undefined) exit(0);
      dismissShim(waiting, context, () => undefined);
    },
  });
  loop.run();
  return exit(0);
}

function prepare(request: PrepareRequest, connection: Connection, loop: Loop, context: Context): WaitingShim {
  forkShim(request.id, context);
  const waiting = prepareShim(request, loop, context);
  waiting.creator.whenPrepared((prepared) => {
    if ("problem" in prepared) replyError(connection, request.seq, prepared.problem);
    else replyOk(connection, request.seq, {});
  });
  return waiting;
}

function create(
  request: CreateRequest,
  waiting: WaitingShim | undefined,
  connection: Connection,
  loop: Loop,
  context: Context,
): void {
  if (waiting?.id !== request.id) {
    throw failure("failed-precondition", `create: no shim was prepared for ${request.id}`);
  }
  becomeShim(waiting, request, connection, loop, context);
}

function serve(request: LauncherRequest | ShimRequest, connection: Connection, context: Context): void {
  switch (request.type) {
    case "create-pod":
      finish(connection, request.seq, () => createPod(request, context.hierarchies));
      return;
    case "remove-pod":
      finish(connection, request.seq, () => {
        removePod(request, context.hierarchies);
      });
      return;
    case "destroy":
      finish(connection, request.seq, () => {
        destroy(request, context.hierarchies);
      });
      return;
    case "shutdown":
      finish(connection, request.seq, () => kill(context.launcherPid, SIG.TERM));
      return;
    default:
      unknownRequest(request.type);
  }
}

/** Does one piece of work, answers and ends. */
function finish(connection: Connection, seq: number, work: () => unknown): void {
  const [ok, result] = pcall(work);
  if (ok) replyOk(connection, seq, type(result) === "table" ? (result as object) : {});
  else replyError(connection, seq, result);
  connection.end();
}

/**
 * Goes on as a child in a leaf cgroup of its own; this process ends. Started there by clone3, because moving a
 * process on v2 waits for a grace period of the kernel. It also makes the shim nobody's child but init's.
 */
function forkShim(id: string, context: Context): void {
  const leaf = makeLeaf(context.hierarchies, id);
  const [placed, result] = pcall(() => clone(0, leaf));
  const pid = placed ? result : clone(0);
  if (pid !== 0) exit(0);
  enterLeafV1(context.hierarchies, id);
}
