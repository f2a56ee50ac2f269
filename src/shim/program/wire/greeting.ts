import { frameMessage } from "../../protocol/frame.ts";
import type { AnyRequest, HelloReply } from "../../protocol/messages.ts";
import { protocolVersion } from "../../protocol/messages.ts";
import { asFailure, failure } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { readFile } from "../ffi/files.ts";
import { decode } from "../json.ts";
import type { Connection } from "./connection.ts";

/** Bytes of a request's document; a frame may be no longer either. */
const maxMessageBytes = 1024 * 1024;

/** Who this program is, as its hello says. */
export interface Identity {
  readonly build: string;
  readonly boot: string;
}

/** The identity of this boot. */
export function readIdentity(build: string): Identity {
  return { build, boot: string.sub(readFile("/proc/sys/kernel/random/boot_id", 64), 1, 36) };
}

/** What a connection carries after its hello. */
export interface PeerHandlers {
  onRequest(this: void, request: AnyRequest): void;
  /** Frames that are no message. */
  onBytes?(this: void, kind: number, payload: string): void;
}

/**
 * Reads the frames of one client: hello first, answered with ours, then requests. What is no request is answered with
 * a failure where it has a `seq`, and ends the connection where it has none.
 */
export function frameReader(
  identity: Identity,
  connection: () => Connection,
  peer: PeerHandlers,
  state: "new" | "greeted" = "new",
): (kind: number, payload: string) => void {
  let greeted = state === "greeted";
  return (kind, payload) => {
    if (kind !== frameMessage) {
      if (greeted && peer.onBytes !== undefined) peer.onBytes(kind, payload);
      else connection().close();
      return;
    }
    const [ok, message] = pcall(decode, payload, maxMessageBytes);
    if (!ok || type(message) !== "table") {
      connection().close();
      return;
    }
    if (!greeted) {
      greeted = greet(identity, connection(), message as Partial<HelloReply>);
      return;
    }
    dispatch(connection(), message as AnyRequest, peer);
  };
}

function greet(identity: Identity, connection: Connection, hello: Partial<HelloReply>): boolean {
  if (hello.type !== "hello") {
    connection.close();
    return false;
  }
  const reply: HelloReply = { type: "hello", protocol: protocolVersion, pid: C.getpid(), ...identity };
  connection.sendMessage(reply);
  return true;
}

function dispatch(connection: Connection, request: AnyRequest, peer: PeerHandlers): void {
  if (type(request.seq) !== "number" || type(request.type) !== "string") {
    connection.close();
    return;
  }
  try {
    peer.onRequest(request);
  } catch (thrown) {
    replyError(connection, request.seq, thrown);
  }
}

/** Answers a request. */
export function replyOk(connection: Connection, seq: number, ok: object): void {
  connection.sendMessage({ seq, ok });
}

/** Answers a request with what was thrown. */
export function replyError(connection: Connection, seq: number, thrown: unknown): void {
  const { code, message, syscall, errno } = asFailure(thrown);
  connection.sendMessage({ seq, error: { code, message, syscall, errno } });
}

/** What is said to a request that this peer does not serve. */
export function unknownRequest(kind: string): never {
  throw failure("invalid-argument", `unknown request ${kind}`);
}
