import type { Clock } from "../../core/clock.ts";
import type { ContainerExit } from "../../core/container.ts";
import type { Logger } from "../../core/logger.ts";
import { readExitRecord, type Launcher, type ShimConnection } from "../../shim/client/index.ts";
import type { ExitRecord } from "../../shim/protocol/messages.ts";
import type { LifecycleEvents } from "../events.ts";
import type { ContainerEntry, Inventory } from "../inventory.ts";
import type { StatePaths } from "../paths.ts";

/** What recording the end of a container needs. */
export interface EndDeps {
  readonly inventory: Inventory;
  readonly events: LifecycleEvents;
  readonly launcher: Launcher;
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cgroupOf: (entry: ContainerEntry) => string;
}

/** How long what a lost shim left behind has to die. */
const destroyTimeoutMs = 10_000;

/** What other runtimes report where nobody saw the end. */
const unknownExitCode = 255;

/** Follows a container through its shim: its exit is recorded, and the loss of the shim is found out. */
export function watchShim(deps: EndDeps, entry: ContainerEntry, shim: ShimConnection): void {
  entry.shim = shim;
  const report = (error: unknown): void => {
    deps.logger.error("cannot record a container's end", { container: entry.id, error: String(error) });
  };
  shim.onExit((record) => {
    markEnded(deps, entry, endOf(record)).catch(report);
  });
  void shim.closed.then(() => {
    if (entry.shim === shim) recordLoss(deps, entry).catch(report);
  });
}

/** The shim is gone without a word: its record says how the container ended, or nobody knows. */
export async function recordLoss(deps: EndDeps, entry: ContainerEntry): Promise<void> {
  if (entry.record.state.state === "exited") return;
  entry.shim = undefined;
  const record = await readExitRecord(deps.paths.container(entry.id).exitRecord).catch(() => undefined);
  if (record !== undefined) {
    await markEnded(deps, entry, endOf(record));
    return;
  }
  deps.logger.warn("the shim of a container is gone; killing what it left", { container: entry.id });
  await destroyProcesses(deps, entry).catch((error: unknown) => {
    deps.logger.error("cannot clean up after a lost shim", { container: entry.id, error: String(error) });
  });
  await recordUnseenEnd(deps, entry, "the container's shim ended without an exit record");
}

/** Kills what is in a container's cgroup, without its shim, and removes the cgroup; nothing there is no error. */
export async function destroyProcesses(
  deps: Pick<EndDeps, "launcher" | "cgroupOf">,
  entry: ContainerEntry,
): Promise<void> {
  await deps.launcher.destroy({ id: entry.id, cgroup: deps.cgroupOf(entry), timeoutMs: destroyTimeoutMs });
}

/** Records an end that nobody saw: by the shim's record where it left one, else as unknown. */
export async function recordUnseenEnd(deps: EndDeps, entry: ContainerEntry, message: string): Promise<void> {
  const record = await readExitRecord(deps.paths.container(entry.id).exitRecord).catch(() => undefined);
  const { state } = entry.record;
  const unknown = {
    startedAt: state.state === "running" ? state.startedAt : 0n,
    finishedAt: deps.clock(),
    exitCode: unknownExitCode,
    reason: "Unknown",
    message,
  };
  await markEnded(deps, entry, record === undefined ? unknown : endOf(record));
}

/** Records that a container has ended, once; later words about it change nothing. */
export async function markEnded(
  deps: Pick<EndDeps, "inventory" | "events">,
  entry: ContainerEntry,
  end: ContainerExit & { readonly startedAt: bigint },
): Promise<void> {
  let before = entry.record.state.state;
  const changed = await deps.inventory.updateContainer(entry, ({ state }) => {
    before = state.state;
    return state.state === "exited" ? undefined : { state: { state: "exited", ...end } };
  });
  if (!changed) return;
  entry.shim?.close();
  entry.shim = undefined;
  entry.ended.resolve(undefined);
  // A short process may end before its start was answered.
  if (before === "created" && end.startedAt !== 0n) deps.events.emit("started", entry);
  deps.events.emit("stopped", entry);
}

/** How a shim's record reads in the CRI's terms; pure. */
export function endOf(record: ExitRecord): ContainerExit & { readonly startedAt: bigint } {
  const neverStarted = record.startedAt === "0";
  return {
    startedAt: BigInt(record.startedAt),
    finishedAt: BigInt(record.finishedAt),
    exitCode: record.exitCode,
    reason: reasonOf(record, neverStarted),
    message: record.message,
  };
}

/** execve of a command that is not executable, or not there, as a shell reports it. */
export const commandNotExecutable = 126;
export const commandNotFound = 127;

/** The kubelet shows the message of the first in place of the log; the second is a failure of the runtime's own. */
export function startFailureReason(exitCode: number): "ContainerCannotRun" | "StartError" {
  return [commandNotExecutable, commandNotFound].includes(exitCode) ? "ContainerCannotRun" : "StartError";
}

function reasonOf(record: ExitRecord, neverStarted: boolean): string {
  if (record.oomKilled) return "OOMKilled";
  if (neverStarted && record.message !== "") return startFailureReason(record.exitCode);
  return record.exitCode === 0 ? "Completed" : "Error";
}
