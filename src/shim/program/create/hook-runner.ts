import type { SpecHooks } from "../../../core/oci-runtime-spec.ts";
import { SOCK } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { asFailure } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { exit, fork, waitFor } from "../ffi/processes.ts";
import { receiveWithFds, sendWithFds, socketPair } from "../ffi/sockets.ts";
import type { OciState } from "../hooks/run-hooks.ts";
import { runHooks } from "../hooks/run-hooks.ts";
import { decode, encode } from "../json.ts";
import { failure } from "../ffi/error.ts";

const maxStateBytes = 256 * 1024;
const succeeded = "ok";

/** Runs the hooks of the host's side for a container that is half made. */
export type HookRunner = (state: OciState) => void;

/**
 * Prestart and createRuntime hooks run in the runtime's own namespaces, with its rights, when the container's exist:
 * the creator may have entered a user or pid namespace by then, so a child that it forked before runs them.
 */
export function startHookRunner(hooks: SpecHooks | undefined): HookRunner {
  const prestart = hooks?.prestart ?? [];
  const createRuntime = hooks?.createRuntime ?? [];
  if (prestart.length + createRuntime.length === 0) return () => undefined;
  const [ours, theirs] = socketPair(SOCK.SEQPACKET);
  const child = fork();
  if (child === 0) {
    closeAllBut([theirs]);
    const request = receiveWithFds(theirs, maxStateBytes);
    if (request === undefined || request.text === "") exit(0);
    const state = decode(request.text, maxStateBytes) as OciState;
    const [ok, thrown] = pcall(() => {
      runHooks(prestart, state, "prestart");
      runHooks(createRuntime, state, "createRuntime");
    });
    sendWithFds(theirs, ok ? succeeded : asFailure(thrown).message, []);
    exit(0);
  }
  close(theirs);
  return (state) => {
    sendWithFds(ours, encode(state), []);
    const answer = receiveWithFds(ours, maxStateBytes)?.text ?? "";
    close(ours);
    waitFor(child);
    if (answer !== succeeded)
      throw failure("failed-precondition", answer === "" ? "hooks: no answer" : answer);
  };
}
