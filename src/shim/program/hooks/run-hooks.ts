import type { SpecHook } from "../../../core/oci-runtime-spec.ts";
import { O, SIG } from "../ffi/constants.ts";
import { errno, errorText, failure, prefixed } from "../ffi/error.ts";
import { close, open, pipe, writeAll } from "../ffi/files.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { C } from "../ffi/libc.ts";
import { exit, fork, kill, reap, waitFor } from "../ffi/processes.ts";
import { unblockAllSignals } from "../ffi/signals.ts";
import { stringArray } from "../ffi/structs.ts";
import { monotonicMs, sleepMs } from "../ffi/time.ts";
import { encode } from "../json.ts";

/** What a hook gets on its standard input (runtime spec, runtime.md#state). */
export interface OciState {
  readonly ociVersion: string;
  readonly id: string;
  readonly status: "creating" | "created" | "running" | "stopped";
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Seconds that a hook without a timeout of its own may run. */
const defaultTimeoutS = 120;
const pollMs = 2;
const notStarted = 127;

/** Runs hooks one after another; throws at the first that fails, naming it. */
export function runHooks(hooks: readonly SpecHook[], state: OciState, kind: string): void {
  hooks.forEach((hook, index) => {
    const [ok, thrown] = pcall(runHook, hook, encode(state));
    if (!ok) throw prefixed(`error running ${kind} hook #${index}`, thrown);
  });
}

function runHook(hook: SpecHook, state: string): void {
  const [readEnd, writeEnd] = pipe();
  const pid = fork();
  if (pid === 0) becomeHook(hook, readEnd);
  close(readEnd);
  // A hook that reads nothing closes its end; SIGPIPE is blocked, so that is EPIPE, and none of our business.
  pcall(() => {
    writeAll(writeEnd, state, hook.path);
  });
  close(writeEnd);
  const deadline = monotonicMs() + (hook.timeout ?? defaultTimeoutS) * 1000;
  for (;;) {
    const ended = reap(pid);
    if (ended !== undefined) {
      if (ended.status === 0 && ended.signal === 0) return;
      const how = ended.signal === 0 ? `exit status ${ended.status}` : `signal ${ended.signal}`;
      throw failure("failed-precondition", `${hook.path}: ${how}`);
    }
    if (monotonicMs() >= deadline) break;
    sleepMs(pollMs);
  }
  kill(pid, SIG.KILL);
  waitFor(pid);
  throw failure("deadline-exceeded", `${hook.path}: killed after ${hook.timeout ?? defaultTimeoutS} s`);
}

function becomeHook(hook: SpecHook, stdin: number): never {
  C.dup3(stdin, 0, 0);
  closeAllBut([]);
  const nothing = open("/dev/null", O.RDWR);
  C.dup3(nothing, 1, 0);
  unblockAllSignals();
  const args = hook.args ?? [hook.path];
  const env = hook.env ?? [];
  C.execve(hook.path, stringArray(args), stringArray(env));
  const why = `exec ${hook.path}: ${errorText(errno())}\n`;
  C.write(2, why, why.length);
  exit(notStarted);
}
