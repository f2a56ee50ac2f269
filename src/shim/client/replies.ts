import { RuntimeError } from "../../core/errors.ts";
import { protocolVersion } from "../protocol/messages.ts";
import type {
  Created,
  ExecStarted,
  ExitRecord,
  HelloReply,
  PodCreated,
  ShimEvent,
  ShimFailure,
  ShimState,
  Started,
} from "../protocol/messages.ts";

/** The answer to a request, its `seq` still to be matched. */
export type Answer =
  { readonly seq: number; readonly ok: unknown } | { readonly seq: number; readonly error: RuntimeError };

/** What one JSON message of a launcher or shim is. */
export type Incoming =
  | { readonly kind: "hello"; readonly hello: HelloReply }
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "event"; readonly event: ShimEvent };

/** Reads a message; throws `internal` for JSON that is none of the protocol's. */
export function parseIncoming(payload: Buffer): Incoming {
  const value = fieldsOf(parseJson(payload), "message");
  if (value["type"] === "hello") return { kind: "hello", hello: helloOf(value) };
  if (value["event"] !== undefined) return { kind: "event", event: eventOf(value) };
  const seq = numberOf(value, "seq");
  if (value["error"] === undefined) return { kind: "answer", answer: { seq, ok: value["ok"] } };
  return { kind: "answer", answer: { seq, error: errorOf(value["error"]) } };
}

/** The oldest protocol that a shim of an earlier daemon may still speak. */
const oldestProtocol = Math.max(1, protocolVersion - 1);

/** True for the current protocol and the one before. */
export function isSpoken(protocol: number): boolean {
  return protocol >= oldestProtocol && protocol <= protocolVersion;
}

export function createdOf(value: unknown): Created {
  const fields = fieldsOf(value, "answer to create");
  return {
    pid: numberOf(fields, "pid"),
    pidStartTicks: numberOf(fields, "pidStartTicks"),
    shimPid: numberOf(fields, "shimPid"),
    warnings: textsOf(fields, "warnings"),
  };
}

export function startedOf(value: unknown): Started {
  return { startedAt: textOf(fieldsOf(value, "answer to start"), "startedAt") };
}

export function execStartedOf(value: unknown): ExecStarted {
  return { pid: numberOf(fieldsOf(value, "answer to exec"), "pid") };
}

export function podCreatedOf(value: unknown): PodCreated {
  const reaper = fieldsOf(value, "answer to create-pod")["reaper"];
  if (reaper === undefined) return {};
  const fields = fieldsOf(reaper, "reaper");
  return { reaper: { pid: numberOf(fields, "pid"), startTicks: numberOf(fields, "startTicks") } };
}

const statuses = ["creating", "created", "running", "paused", "stopped"] as const;

export function stateOf(value: unknown): ShimState {
  const fields = fieldsOf(value, "answer to state");
  const status = statuses.find((known) => known === fields["status"]);
  if (status === undefined) throw unreadable("status");
  return {
    id: textOf(fields, "id"),
    status,
    pid: numberOf(fields, "pid"),
    pidStartTicks: numberOf(fields, "pidStartTicks"),
    startedAt: textOf(fields, "startedAt"),
    droppedLogLines: numberOf(fields, "droppedLogLines"),
    droppedLogBytes: fields["droppedLogBytes"] === undefined ? 0 : numberOf(fields, "droppedLogBytes"),
    warnings: textsOf(fields, "warnings"),
    ...(fields["exit"] === undefined ? {} : { exit: exitRecordOf(fields["exit"]) }),
  };
}

export function exitRecordOf(value: unknown): ExitRecord {
  const fields = fieldsOf(value, "exit record");
  return {
    exitCode: numberOf(fields, "exitCode"),
    signal: numberOf(fields, "signal"),
    oomKilled: fields["oomKilled"] === true,
    startedAt: textOf(fields, "startedAt"),
    finishedAt: textOf(fields, "finishedAt"),
    message: textOf(fields, "message"),
  };
}

function helloOf(fields: Fields): HelloReply {
  return {
    type: "hello",
    protocol: numberOf(fields, "protocol"),
    build: textOf(fields, "build"),
    boot: textOf(fields, "boot"),
    pid: numberOf(fields, "pid"),
  };
}

function eventOf(fields: Fields): ShimEvent {
  if (fields["event"] === "exit") return { event: "exit", record: exitRecordOf(fields["record"]) };
  if (fields["event"] !== "exec-exit") throw unreadable("event");
  return {
    event: "exec-exit",
    exitCode: numberOf(fields, "exitCode"),
    signal: numberOf(fields, "signal"),
    timedOut: fields["timedOut"] === true,
  };
}

const failureCodes: readonly ShimFailure["code"][] = [
  "invalid-argument",
  "failed-precondition",
  "not-found",
  "permission-denied",
  "resource-exhausted",
  "deadline-exceeded",
  "internal",
];

function errorOf(value: unknown): RuntimeError {
  const fields = fieldsOf(value, "error");
  const code = failureCodes.find((known) => known === fields["code"]) ?? "internal";
  return new RuntimeError(code, textOf(fields, "message"), { cause: value });
}

type Fields = Readonly<Record<string, unknown>>;

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch (thrown) {
    throw new RuntimeError("internal", "a message from the shim is not JSON", { cause: thrown });
  }
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || (Array.isArray(value) && value.length > 0)) {
    throw unreadable(what);
  }
  return value as Fields;
}

function numberOf(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number") throw unreadable(name);
  return value;
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw unreadable(name);
  return value;
}

/** Lua does not tell an empty array from an empty object, so `{}` is no text at all. */
function textsOf(fields: Fields, name: string): readonly string[] {
  const value = fields[name];
  if (!Array.isArray(value)) return [];
  return value.filter((text) => typeof text === "string");
}

function unreadable(what: string): RuntimeError {
  return new RuntimeError("internal", `unreadable message from the shim: ${what}`);
}
