import { RuntimeError } from "../../core/errors.ts";
import { maxExecSyncOutputBytes } from "../../core/limits.ts";
import type { ContainerEntry } from "../inventory.ts";
import { openExec, type ExecDeps } from "./exec.ts";

/** What a command run to its end gave; each stream is cut at `maxExecSyncOutputBytes`. */
export interface ExecSyncResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
}

/** How long a descendant may hold the output open after the command has ended. */
const drainMs = 1_000;

/**
 * Runs a command in a running container and waits for its end. `timeoutMs` 0 is no limit; when it passes the command
 * and its descendants are killed and the error is `deadline-exceeded`.
 */
export async function execSync(
  deps: ExecDeps,
  entry: ContainerEntry,
  args: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ExecSyncResult> {
  const stdout = new BoundedOutput();
  const stderr = new BoundedOutput();
  const session = await openExec(
    deps,
    entry,
    { args, tty: false, stdin: "closed", timeoutMs, drainMs },
    {
      onStdout: (bytes) => {
        stdout.add(bytes);
      },
      onStderr: (bytes) => {
        stderr.add(bytes);
      },
    },
    signal,
  );
  const exit = await session.exit;
  if (exit.timedOut) {
    throw new RuntimeError(
      "deadline-exceeded",
      `command ${JSON.stringify(args)} in container ${entry.id} was killed after ${timeoutMs} ms`,
    );
  }
  return { stdout: stdout.bytes(), stderr: stderr.bytes(), exitCode: exit.exitCode };
}

/** Keeps the first bytes and drops the rest, so that a chatty command is neither blocked nor kept (CVE-2022-1708). */
class BoundedOutput {
  readonly #parts: Buffer[] = [];
  #kept = 0;

  add(bytes: Buffer): void {
    const part = bytes.subarray(0, maxExecSyncOutputBytes - this.#kept);
    if (part.length === 0) return;
    this.#parts.push(Buffer.from(part));
    this.#kept += part.length;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
