import { RuntimeError } from "../../core/errors.ts";
import type { AttachSession, OutputHandlers } from "../../shim/client/index.ts";
import type { ContainerEntry } from "../inventory.ts";

/** Which of a container's streams to join. */
export interface AttachRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/**
 * Joins the streams of a running container; standard input only where the container keeps it open. Throws
 * `failed-precondition` where the container does not run.
 */
export async function openAttach(
  entry: ContainerEntry,
  request: AttachRequest,
  handlers: OutputHandlers,
  signal: AbortSignal,
): Promise<AttachSession> {
  const { state, config } = entry.record;
  const { shim } = entry;
  if (state.state !== "running" || shim === undefined) {
    throw new RuntimeError("failed-precondition", `container ${entry.id} is ${state.state}, not running`);
  }
  const { stdout, stderr } = request;
  return shim.attach({ stdin: request.stdin && config.stdin, stdout, stderr }, handlers, { signal });
}
