import type { ContainerEntry } from "../inventory.ts";

/** How long a status waits for a shim; it is only for people who debug. */
const shimAnswerMs = 1_000;

/** What is missing in a log: lines, and their bytes as they would stand there. */
export interface LogLoss {
  readonly droppedLines: number;
  readonly droppedBytes: number;
}

/** What is missing in a container's log so far; undefined where there is no shim to ask, or it does not answer soon. */
export async function logLoss(entry: ContainerEntry): Promise<LogLoss | undefined> {
  const state = await entry.shim?.state({ timeoutMs: shimAnswerMs }).catch(() => undefined);
  return state && { droppedLines: state.droppedLogLines, droppedBytes: state.droppedLogBytes };
}
