import { RuntimeError } from "../../core/errors.ts";
import { maxExecSyncOutputBytes } from "../../core/limits.ts";
import type { ContainerEntry } from "../inventory.ts";
import { openExec, type ExecDeps } from "./exec.ts";

/** What a command run to its end gave; both streams together are cut at `maxExecSyncOutputBytes`. */
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
      `command ${JSON.stringify(args[0])} in container ${entry.id} was killed after ${timeoutMs} ms`,
    );
  }
  return { ...fitOneMessage(stdout.bytes(), stderr.bytes()), exitCode: exit.exitCode };
}

/** The shorter stream is kept as far as half of the room goes, so that a flood on one hides no word on the other. */
function fitOneMessage(stdout: Buffer, stderr: Buffer): { readonly stdout: Buffer; readonly stderr: Buffer } {
  const half = maxExecSyncOutputBytes / 2;
  const kept = stdout.subarray(0, maxExecSyncOutputBytes - Math.min(stderr.length, half));
  return { stdout: kept, stderr: stderr.subarray(0, maxExecSyncOutputBytes - kept.length) };
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
