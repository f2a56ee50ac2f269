import { CLONE, MS, SOCK } from "../ffi/constants.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure, failure } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { mount } from "../ffi/mounts.ts";
import { exit, fork, unshare, waitFor } from "../ffi/processes.ts";
import { receiveWithFds, sendWithFds, socketPair } from "../ffi/sockets.ts";
import { decode, encode } from "../json.ts";

const maxAnswerBytes = 8192;

/**
 * What `work` detached, done by a child in a mount namespace of its own, where mounts can be attached that nobody else
 * sees; they go with the child. What `work` throws is thrown here.
 */
export function detachedElsewhere(work: () => number): number {
  const [ours, theirs] = socketPair(SOCK.SEQPACKET);
  const child = fork();
  if (child === 0) {
    const [ok, result] = pcall(() => {
      unshare(CLONE.NEWNS);
      mount(undefined, "/", undefined, MS.REC | MS.PRIVATE);
      return work();
    });
    if (ok) sendWithFds(theirs, "{}", [result]);
    else sendWithFds(theirs, encode(asFailure(result)), []);
    exit(0);
  }
  close(theirs);
  const answer = receiveWithFds(ours, maxAnswerBytes);
  close(ours);
  waitFor(child);
  const fd = answer?.fds[0];
  if (fd !== undefined) return fd;
  if (answer === undefined || answer.text === "") {
    throw failure("internal", "the process that makes a mount died");
  }
  throw decode(answer.text, maxAnswerBytes) as Failure;
}
