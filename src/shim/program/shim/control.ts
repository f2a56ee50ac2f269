import type { AnyRequest } from "../../protocol/messages.ts";
import type { Connection } from "../wire/connection.ts";
import { replyError, replyOk, unknownRequest } from "../wire/greeting.ts";
import type { Container } from "./container.ts";

/** Serves one request to a shim; what it throws is answered by the caller. */
export function serveRequest(container: Container, connection: Connection, request: AnyRequest): void {
  const { seq } = request;
  const done = (): void => {
    replyOk(connection, seq, {});
  };
  switch (request.type) {
    case "start":
      container.start((outcome) => {
        if ("started" in outcome) replyOk(connection, seq, outcome.started);
        else replyError(connection, seq, outcome.error);
      });
      return;
    case "state":
      // Told in the midst of a start, a new daemon would take the container for one that nobody started.
      container.whenSettled(() => {
        replyOk(connection, seq, container.describe());
      });
      return;
    case "kill":
      container.kill(request.signal, request.scope);
      done();
      return;
    case "update":
      container.update(request.resources);
      done();
      return;
    case "reopen-log":
      container.reopenLog((problem) => {
        if (problem === undefined) done();
        else replyError(connection, seq, problem);
      });
      return;
    case "resize":
      container.resize(request.rows, request.cols);
      done();
      return;
    case "pause":
      container.pause();
      done();
      return;
    case "resume":
      container.resume();
      done();
      return;
    case "delete":
      container.remove(done);
      return;
    case "attach":
      container.attach(connection, request);
      done();
      return;
    default:
      unknownRequest(request.type);
  }
}
