import { spawn } from "node:child_process";
import { RuntimeError } from "../core/errors.ts";
import { isErrno, kill } from "../sys/index.ts";

/** How a program ended, and what it wrote. */
export interface ProcessOutcome {
  readonly exit: { readonly code: number } | { readonly signal: string };
  readonly stdout: string;
  /** The end of it, {@link keptStderrBytes} at most. */
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** Bytes of standard output that a plugin may write before it is killed. */
export const maxPluginOutputBytes = 1024 * 1024;
/** Bytes of standard error that are kept, from the end. */
export const keptStderrBytes = 16 * 1024;
/** How long a program's output may stay open after its exit (a child of its own may hold it), in milliseconds. */
const outputGraceMs = 500;

const SIGKILL = 9;

/**
 * Runs a program in a process group of its own, feeds it `input` and waits for it. At the deadline, or where it
 * writes too much, the whole group is killed and an error says so: `deadline-exceeded` or `resource-exhausted`.
 * `subject` begins every message.
 */
export function runProgram(
  subject: string,
  command: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
  input: string,
  signal: AbortSignal,
): Promise<ProcessOutcome> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new RuntimeError("deadline-exceeded", `${subject}: not started: the deadline had passed`));
      return;
    }
    const startedAt = performance.now();
    const elapsedMs = (): number => Math.round(performance.now() - startedAt);
    const [program, ...programArguments] = command;
    const child = spawn(program, programArguments, { env: environment, detached: true, cwd: "/" });
    child.on("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(new RuntimeError("internal", `${subject}: cannot run ${program}: ${error.message}`));
    });
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    let stderr = Buffer.alloc(0);
    let failure: RuntimeError | undefined;

    const killGroup = (reason: RuntimeError): void => {
      failure ??= reason;
      if (child.pid !== undefined) signalGroup(child.pid);
    };
    const onAbort = (): void => {
      const after = `after ${elapsedMs()} ms`;
      killGroup(
        new RuntimeError("deadline-exceeded", `${subject}: killed at its deadline ${after}${tail(stderr)}`),
      );
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // Out of descriptors there are none, whatever the types say, and the error above comes in the next tick.
    if (!hasStreams(child)) return;

    child.stdout.on("data", (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes <= maxPluginOutputBytes) stdout.push(chunk);
      else {
        const limit = `more than ${maxPluginOutputBytes} bytes`;
        killGroup(new RuntimeError("resource-exhausted", `${subject}: killed: it wrote ${limit}`));
      }
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-keptStderrBytes);
    });
    // A program that exits without reading its input is no error by itself.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);

    let grace: NodeJS.Timeout | undefined;
    child.on("exit", () => {
      // What stays of the group after a kill dies too; after a normal exit it may be a service that was meant to stay.
      grace = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, outputGraceMs);
    });
    child.on("close", (code, exitSignal) => {
      clearTimeout(grace);
      signal.removeEventListener("abort", onAbort);
      if (failure !== undefined) {
        reject(failure);
        return;
      }
      resolve({
        exit: code === null ? { signal: exitSignal ?? "unknown" } : { code },
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: stderr.toString("utf8"),
        elapsedMs: elapsedMs(),
      });
    });
  });
}

function hasStreams(child: { readonly stdin?: unknown }): boolean {
  return child.stdin !== undefined;
}

function signalGroup(leader: number): void {
  try {
    kill(-leader, SIGKILL);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

function tail(stderr: Buffer): string {
  const text = stderr.toString("utf8").trim();
  return text === "" ? "" : `; it had written: ${text.slice(-1024)}`;
}
