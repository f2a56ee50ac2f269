import type { AnyRequest } from "../../protocol/messages.ts";
import { SIG } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { C } from "../ffi/libc.ts";
import { exit, kill, setName } from "../ffi/processes.ts";
import type { Pollfd } from "../ffi/structs.ts";
import { structs } from "../ffi/structs.ts";
import { createPod, destroy, removePod } from "../pods/index.ts";
import { NewShim } from "../shim/new-shim.ts";
import { Connection } from "../wire/connection.ts";
import { frameReader, replyError, replyOk, unknownRequest } from "../wire/greeting.ts";
import { Loop } from "../wire/loop.ts";
import type { Context } from "./context.ts";

/** How long a client may take until its request is complete. */
const requestTimeoutMs = 30_000;

/** Serves one connection in a child of the launcher, to its end. */
export function serveClient(client: number, context: Context): never {
  closeAllBut([client]);
  setName("berth-serve");
  const loop = new Loop();
  let shim: NewShim | undefined;
  const timeout = loop.after(requestTimeoutMs, () => exit(1));
  const reader = frameReader(context.identity, () => connection, {
    onRequest: (request) => {
      loop.cancel(timeout);
      if (shim !== undefined) {
        shim.answer(request, connection);
      } else if (request.type === "new-shim") {
        shim = NewShim.become(loop, context);
        replyOk(connection, request.seq, {});
      } else {
        serve(request, connection, context);
      }
    },
  });
  const connection = new Connection(loop, client, {
    onFrame: reader,
    onClose: () => {
      if (shim === undefined) exit(0);
      shim.dismiss(() => undefined);
    },
  });
  loop.run();
  return exit(0);
}

function serve(request: AnyRequest, connection: Connection, context: Context): void {
  switch (request.type) {
    case "create-pod":
      finish(connection, request.seq, () =>
        createPod(request, context.hierarchies, () => !hasHungUp(connection.fd)),
      );
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

/** True once the other side of a socket is closed; poll(2) tells of that unasked. */
function hasHungUp(fd: number): boolean {
  const asked = structs<Pollfd>("pollfd_buf", 1);
  const only = asked[0] as Pollfd;
  only.fd = fd;
  only.events = 0;
  return C.poll(asked, 1, 0) === 1;
}

/** Does one piece of work, answers and ends. */
function finish(connection: Connection, seq: number, work: () => unknown): void {
  const [ok, result] = pcall(work);
  if (ok) replyOk(connection, seq, type(result) === "table" ? (result as object) : {});
  else replyError(connection, seq, result);
  connection.end();
}
