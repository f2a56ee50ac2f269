import { RuntimeError } from "../../core/errors.ts";
import type { ContainerEntry } from "../inventory.ts";

/** Goes on in a fresh file after the kubelet renamed the log; the file is there when this returns. */
export async function reopenContainerLog(entry: ContainerEntry, signal: AbortSignal): Promise<void> {
  const { state } = entry.record;
  if (state.state !== "running" || entry.shim === undefined) {
    throw new RuntimeError("failed-precondition", `container ${entry.id} is ${state.state}, not running`);
  }
  await entry.shim.reopenLog({ signal });
}
