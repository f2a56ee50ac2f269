import { randomBytes } from "node:crypto";
import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import { asRuntimeError, RuntimeError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { serviceError } from "./errors.ts";

/** What a handler knows of its call. */
export interface Call {
  /** Aborts when the client cancels or its deadline passes. */
  readonly signal: AbortSignal;
}

/** Decodes, calls one domain function, encodes. */
export type UnaryHandler<Request, Response> = (request: Request, call: Call) => Promise<Response> | Response;

/** Calls that a kubelet makes all the time and that change nothing: their lines are for debugging. */
export type CallVisibility = "routine" | "notable";

/** The id, duration and result of every call go to the log once, here; nothing of its payload does. */
export function unary<Request, Response>(
  name: string,
  visibility: CallVisibility,
  logger: Logger,
  handler: UnaryHandler<Request, Response>,
): (call: ServerUnaryCall<Request, Response>, respond: sendUnaryData<Response>) => void {
  return (call, respond) => {
    const id = randomBytes(4).toString("hex");
    const started = performance.now();
    const answer = async (): Promise<Response> => handler(call.request, { signal: callSignal(call) });
    answer().then(
      (response) => {
        const log = visibility === "routine" ? logger.debug : logger.info;
        log(name, { request: id, ms: elapsed(started), result: "ok" });
        respond(null, response);
      },
      (thrown: unknown) => {
        const error = asRuntimeError(thrown);
        const log = error.code === "internal" ? logger.error : logger.warn;
        log(name, { request: id, ms: elapsed(started), result: error.code, error: error.message });
        respond(serviceError(error));
      },
    );
  };
}

function elapsed(started: number): number {
  return Math.round((performance.now() - started) * 100) / 100;
}

/** The part of a gRPC server call that tells when its client has gone; unary and streaming calls have it. */
interface Cancellable {
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  once(event: "cancelled", listener: () => void): unknown;
}

/**
 * A client whose deadline passes says so with a cancellation, which comes before this side's own clock gets there: it
 * began to count when the request arrived.
 */
const deadlineSlackMs = 250;

/** Aborts when the client cancels (its deadline included, which grpc-js reports the same way). */
export function callSignal(call: Cancellable): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    const late = Number(call.getDeadline()) <= Date.now() + deadlineSlackMs;
    controller.abort(
      late
        ? new RuntimeError("deadline-exceeded", "the caller's deadline passed")
        : new RuntimeError("aborted", "the caller cancelled the request"),
    );
  };
  if (call.cancelled) abort();
  else call.once("cancelled", abort);
  return controller.signal;
}
