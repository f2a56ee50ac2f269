import type { CreateRequest } from "../../protocol/messages.ts";
import type { CreatedInit, CreatorMessage } from "../create/message.ts";
import { maxCreatorMessageBytes } from "../create/message.ts";
import { runCreator } from "../create/creator.ts";
import { EPOLL, SIG, SOCK } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure, failure } from "../ffi/error.ts";
import { close, setNonblocking } from "../ffi/files.ts";
import { fork, kill } from "../ffi/processes.ts";
import { receiveWithFds, socketPair } from "../ffi/sockets.ts";
import { decode } from "../json.ts";
import type { Hierarchies } from "../cgroup/index.ts";
import type { Loop } from "../wire/loop.ts";

/** What the shim is told while the creator works. */
export interface CreationHandlers {
  onCgroup(this: void, path: string): void;
  onInit(this: void, pid: number): void;
  onCreated(this: void, init: CreatedInit, fds: readonly number[]): void;
  onFailed(this: void, problem: Failure): void;
}

/** A creator at work. */
export interface Creation {
  /** Kills it; nothing more is told. */
  abandon(): void;
}

/** Forks the creator and listens to it. */
export function startCreation(
  request: CreateRequest,
  hierarchies: Hierarchies,
  loop: Loop,
  handlers: CreationHandlers,
): Creation {
  const [ours, theirs] = socketPair(SOCK.SEQPACKET);
  const pid = fork();
  if (pid === 0) {
    closeAllBut([theirs]);
    runCreator(request, hierarchies, theirs);
  }
  close(theirs);
  setNonblocking(ours);
  let listening = true;
  const end = (): void => {
    if (!listening) return;
    listening = false;
    loop.remove(ours);
    close(ours);
  };
  loop.add(ours, EPOLL.IN, () => {
    const got = receiveWithFds(ours, maxCreatorMessageBytes);
    if (got === undefined) return;
    const message: CreatorMessage =
      got.text === ""
        ? { error: failure("internal", "the creator died") }
        : (decode(got.text, maxCreatorMessageBytes) as CreatorMessage);
    if ("created" in message || "error" in message) end();
    tell(message, got.fds, handlers);
  });
  return {
    abandon: () => {
      // Once it has said its last word it ends by itself, and its number may be another's.
      if (listening) kill(pid, SIG.KILL);
      end();
    },
  };
}

function tell(message: CreatorMessage, fds: readonly number[], handlers: CreationHandlers): void {
  if ("cgroup" in message) handlers.onCgroup(message.cgroup);
  else if ("init" in message) handlers.onInit(message.init);
  else if ("created" in message) handlers.onCreated(message.created, fds);
  else handlers.onFailed(asFailure({ ...message.error, failure: true }));
}
