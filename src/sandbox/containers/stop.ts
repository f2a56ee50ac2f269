import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { asRuntimeError, RuntimeError } from "../../core/errors.ts";
import { signalNumber } from "../../oci/index.ts";
import { isAlive, type ContainerEntry } from "../inventory.ts";
import { blockedWhere } from "./blocked.ts";
import { recordUnseenEnd, type EndDeps } from "./end.ts";

/** What stopping a container needs. */
export type StopContainerDeps = EndDeps;

/** How long a killed container may take to end before the daemon kills through the cgroup itself. */
const shimDeadlineMs = 5_000;

/** How long its shim may take to tell of an end that was brought about past it. */
const shimReportMs = 2_000;

/** How long its processes may take to die after that; what is left hangs in the kernel. */
const cgroupDeadlineMs = 10_000;

/**
 * Ends a container: its stop signal, once however often this is called; `timeoutMs` later SIGKILL to all that it runs.
 * Calls overlap, and the earliest deadline counts. Returns when the container has ended.
 */
export async function stopContainer(
  deps: StopContainerDeps,
  entry: ContainerEntry,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { state } = entry.record;
  if (!isAlive(state)) return;
  if (state.state === "running" && timeoutMs > 0) {
    if (!entry.stopSignalled) {
      entry.stopSignalled = true;
      entry.stopSignalled = await sendSignal(deps, entry, signalNumber(entry.record.stopSignal), "init");
    }
    if (await endsWithin(entry, timeoutMs, signal)) return;
  }
  await killContainer(deps, entry, signal);
}

/** Kills everything in a container through its shim, or past it where the shim does not answer. */
export async function killContainer(
  deps: StopContainerDeps,
  entry: ContainerEntry,
  signal: AbortSignal,
): Promise<void> {
  await sendSignal(deps, entry, constants.signals.SIGKILL, "all");
  if (await endsWithin(entry, shimDeadlineMs, signal)) return;
  try {
    await deps.launcher.destroy({ id: entry.id, cgroup: deps.cgroupOf(entry), timeoutMs: cgroupDeadlineMs });
  } catch (thrown) {
    const { state } = entry.record;
    if (!isAlive(state)) return;
    const { code, message } = asRuntimeError(thrown);
    const where = await blockedWhere(state.pid);
    throw new RuntimeError(
      code,
      `container ${entry.id} does not die: process ${state.pid} ${where}: ${message}`,
      {
        cause: thrown,
      },
    );
  }
  if (await endsWithin(entry, shimReportMs, signal)) return;
  // Nothing of it runs any more, and its shim does not say so: it hangs or is gone.
  await recordUnseenEnd(deps, entry, "killed through its cgroup, since its shim did not answer");
}

/** A shim that is gone, hangs or fails ends nothing here: the deadline that follows finds out, and harder means do. */
async function sendSignal(
  deps: StopContainerDeps,
  entry: ContainerEntry,
  number: number,
  scope: "init" | "all",
): Promise<boolean> {
  try {
    await entry.shim?.kill(number, scope, { timeoutMs: shimDeadlineMs });
    return true;
  } catch (thrown) {
    const { message } = asRuntimeError(thrown);
    deps.logger.debug("a signal did not reach a container", {
      container: entry.id,
      signal: number,
      error: message,
    });
    return false;
  }
}

async function endsWithin(entry: ContainerEntry, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const timer = new AbortController();
  const expired = sleep(timeoutMs, false, { signal: AbortSignal.any([timer.signal, signal]) });
  try {
    return await Promise.race([entry.ended.promise.then(() => true), expired]);
  } finally {
    timer.abort();
    expired.catch(() => undefined);
  }
}
