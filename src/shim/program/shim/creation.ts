import type { CreateRequest } from "../../protocol/messages.ts";
import type { CreatedInit, CreatorMessage } from "../create/message.ts";
import { maxCreatorMessageBytes } from "../create/message.ts";
import { runCreator } from "../create/creator.ts";
import { EPOLL, SIG, SOCK } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure, failure } from "../ffi/error.ts";
import { close, memoryFile, setNonblocking } from "../ffi/files.ts";
import { fork, kill } from "../ffi/processes.ts";
import { receiveWithFds, sendWithFds, socketPair } from "../ffi/sockets.ts";
import { decode, encode } from "../json.ts";
import type { Hierarchies } from "../cgroup/index.ts";
import type { Loop } from "../wire/loop.ts";

/** What the shim is told while the creator works. */
export interface CreationHandlers {
  onInit(this: void, pid: number): void;
  onCreated(this: void, init: CreatedInit, fds: readonly number[]): void;
  onFailed(this: void, problem: Failure): void;
}

/** How far the creator has come without a request: its cgroup is there, or could not be made. */
type Placed =
  { readonly cgroup: string; readonly parents: readonly string[] } | { readonly problem: Failure };

/**
 * A child that makes the container: its cgroup when it is told where, all the rest when it has the request. Forked ahead,
 * so that the fork and the pages that it copies cost nobody time then. It ends when its work is done, or with this process.
 */
export class Creator {
  private readonly pid: number;
  private readonly socket: number;
  private readonly loop: Loop;
  private listening = true;
  private placed: Placed | undefined;
  private waiting: ((this: void, placed: Placed) => void)[] = [];
  private handlers: CreationHandlers | undefined;

  constructor(hierarchies: Hierarchies, loop: Loop) {
    const [ours, theirs] = socketPair(SOCK.SEQPACKET);
    this.pid = fork();
    if (this.pid === 0) {
      closeAllBut([theirs]);
      runCreator(hierarchies, theirs);
    }
    close(theirs);
    setNonblocking(ours);
    this.socket = ours;
    this.loop = loop;
    loop.add(ours, EPOLL.IN, () => {
      this.receive();
    });
  }

  /** Has it make the container's cgroup. */
  place(cgroup: string): void {
    // One that has died is not there to take it, which its end tells.
    pcall(sendWithFds, this.socket, cgroup, []);
  }

  /** Calls `done` when the cgroup is there or could not be made; at once where that is known. */
  whenPlaced(done: (this: void, placed: Placed) => void): void {
    if (this.placed !== undefined) done(this.placed);
    else this.waiting.push(done);
  }

  /** Gives it the request and has `handlers` told what comes of it. */
  begin(request: CreateRequest, handlers: CreationHandlers): void {
    this.handlers = handlers;
    if (this.listening) {
      // In a file of its own, as a message of a SEQPACKET socket may be no longer than the socket's buffer.
      const document = memoryFile("berth-request", encode(request));
      // A creator that has failed is not there to take it.
      pcall(sendWithFds, this.socket, "create", [document]);
      close(document);
    }
    this.whenPlaced((placed) => {
      if ("problem" in placed) handlers.onFailed(placed.problem);
    });
  }

  /** Kills it; nothing more is told. */
  abandon(): void {
    // Once it has said its last word it ends by itself, and its number may be another's.
    if (this.listening) kill(this.pid, SIG.KILL);
    this.end();
  }

  private receive(): void {
    const got = receiveWithFds(this.socket, maxCreatorMessageBytes);
    if (got === undefined) return;
    const message: CreatorMessage =
      got.text === ""
        ? { error: failure("internal", "the creator died") }
        : (decode(got.text, maxCreatorMessageBytes) as CreatorMessage);
    if ("created" in message || "error" in message) this.end();
    if (this.placed === undefined) this.settle(message);
    else if (this.handlers !== undefined) tell(message, got.fds, this.handlers);
  }

  private settle(message: CreatorMessage): void {
    const placed: Placed =
      "cgroup" in message
        ? { cgroup: message.cgroup, parents: message.parents }
        : {
            problem:
              "error" in message
                ? failureOf(message.error)
                : failure("internal", "the creator said too much"),
          };
    this.placed = placed;
    for (const done of this.waiting) done(placed);
    this.waiting = [];
  }

  private end(): void {
    if (!this.listening) return;
    this.listening = false;
    this.loop.remove(this.socket);
    close(this.socket);
  }
}

function tell(message: CreatorMessage, fds: readonly number[], handlers: CreationHandlers): void {
  if ("init" in message) handlers.onInit(message.init);
  else if ("created" in message) handlers.onCreated(message.created, fds);
  else if ("error" in message) handlers.onFailed(failureOf(message.error));
}

/** What came as JSON, as a failure again. */
function failureOf(error: Extract<CreatorMessage, { readonly error: unknown }>["error"]): Failure {
  return asFailure({ ...error, failure: true });
}
