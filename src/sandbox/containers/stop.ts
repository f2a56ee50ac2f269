import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, RuntimeError } from "../../core/errors.ts";
import { signalNumber } from "../../oci/index.ts";
import type { Launcher } from "../../shim/client/index.ts";
import { isAlive, type ContainerEntry } from "../inventory.ts";
import { blockedWhere } from "./blocked.ts";

/** What stopping a container needs. */
export interface StopContainerDeps {
  readonly launcher: Launcher;
  /** The cgroup of a container, for a kill without its shim. */
  readonly cgroupOf: (entry: ContainerEntry) => string;
}

/** How long a killed container may take to end before the daemon kills through the cgroup itself. */
const shimDeadlineMs = 5_000;

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
      await sendSignal(entry, signalNumber(entry.record.stopSignal), "init");
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
  await sendSignal(entry, constants.signals.SIGKILL, "all");
  if (await endsWithin(entry, shimDeadlineMs, signal)) return;
  await deps.launcher.destroy({ id: entry.id, cgroup: deps.cgroupOf(entry), timeoutMs: cgroupDeadlineMs });
  if (await endsWithin(entry, shimDeadlineMs, signal)) return;
  const { state } = entry.record;
  if (!isAlive(state)) return;
  throw new RuntimeError(
    "deadline-exceeded",
    `container ${entry.id} does not die: process ${state.pid} ${await blockedWhere(state.pid)}`,
  );
}

/** A shim that is gone or hangs is no failure yet: the deadline that follows finds out. */
async function sendSignal(entry: ContainerEntry, number: number, scope: "init" | "all"): Promise<void> {
  try {
    await entry.shim?.kill(number, scope, { timeoutMs: shimDeadlineMs });
  } catch (error) {
    const expected = ["unavailable", "deadline-exceeded", "failed-precondition", "not-found"] as const;
    if (!expected.some((code) => hasCode(error, code))) throw error;
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
