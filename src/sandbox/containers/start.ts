import { asRuntimeError, hasCode, RuntimeError } from "../../core/errors.ts";
import type { Job } from "../../core/job.ts";
import type { ShimConnection } from "../../shim/client/index.ts";
import type { ShimState } from "../../shim/protocol/messages.ts";
import type { ContainerEntry } from "../inventory.ts";
import {
  destroyProcesses,
  commandNotExecutable,
  commandNotFound,
  markEnded,
  startFailureReason,
  type EndDeps,
} from "./end.ts";

/** What other runtimes report for a start that failed before execve. */
const startFailed = 128;

/**
 * Lets a created container go on to its command. When that fails the container is exited with the reason, and the
 * error says it too; `failed-precondition` where it is not in the created state.
 */
export async function startContainer(deps: EndDeps, entry: ContainerEntry, job: Job): Promise<void> {
  const { state } = entry.record;
  if (state.state !== "created" || entry.shim === undefined) {
    throw new RuntimeError("failed-precondition", `container ${entry.id} is ${state.state}, not created`);
  }
  const { shim } = entry;
  let startedAt: bigint;
  try {
    startedAt = await job.stage("execve", () => startOnce(shim, job.signal));
  } catch (thrown) {
    // The daemon ends, and its containers live on: the next one finds out whether this start succeeded.
    if (job.signal.aborted) throw thrown;
    const ended = entry.record.state;
    if (ended.state === "exited") {
      if (ended.startedAt !== 0n) return;
      throw new RuntimeError(
        "failed-precondition",
        `container ${entry.id} ended before its start: ${ended.reason}`,
      );
    }
    const error = asRuntimeError(thrown);
    await shim.delete().catch(() => destroyProcesses(deps, entry));
    await markEnded(deps, entry, { ...failedStart(error), finishedAt: deps.clock(), startedAt: 0n });
    throw new RuntimeError(error.code, `container ${entry.id} cannot start: ${error.message}`, {
      cause: thrown,
    });
  }
  const running = { state: "running", pid: state.pid, startedAt } as const;
  // A short process may have ended, and been recorded, before its start was answered.
  const changed = await deps.inventory.showContainer(entry, (record) =>
    record.state.state === "created" ? { state: running } : undefined,
  );
  if (changed) deps.events.emit("started", entry);
}

/** Starts it, or finds that a start which was given up before has succeeded since. */
async function startOnce(shim: ShimConnection, signal: AbortSignal): Promise<bigint> {
  try {
    return await shim.start({ signal });
  } catch (thrown) {
    if (!hasCode(thrown, "failed-precondition")) throw thrown;
    const state = await shim.state({ signal });
    if (!wasStarted(state)) throw thrown;
    return BigInt(state.startedAt);
  }
}

/** True where the command runs: a shim says running of an init too whose execve has failed, until that has ended. */
export function wasStarted({ status, startedAt }: ShimState): boolean {
  return (status === "running" || status === "paused") && startedAt !== "0";
}

function failedStart(error: RuntimeError): { reason: string; message: string; exitCode: number } {
  const exitCode =
    error.code === "not-found"
      ? commandNotFound
      : error.code === "permission-denied"
        ? commandNotExecutable
        : startFailed;
  return { reason: startFailureReason(exitCode), message: error.message, exitCode };
}
