import { RuntimeError } from "../../core/errors.ts";
import { buildExecProcess } from "../../oci/index.ts";
import type { ExecSession, OutputHandlers } from "../../shim/client/index.ts";
import { readExecTemplate } from "../bundle.ts";
import type { ContainerEntry } from "../inventory.ts";
import type { StatePaths } from "../paths.ts";

/** What adding a process to a container needs. */
export interface ExecDeps {
  readonly paths: StatePaths;
}

/** A command to add to a running container. */
export interface ExecRequest {
  readonly args: readonly string[];
  readonly tty: boolean;
  readonly stdin: "closed" | "open";
  /** 0 is no limit. */
  readonly timeoutMs: number;
  readonly drainMs: number;
}

/**
 * Starts a command in a running container, with the user, capabilities and filter of its first process. Throws
 * `failed-precondition` where the container does not run, `not-found` where the command is not there.
 */
export async function openExec(
  deps: ExecDeps,
  entry: ContainerEntry,
  request: ExecRequest,
  handlers: OutputHandlers,
  signal: AbortSignal,
): Promise<ExecSession> {
  const { state } = entry.record;
  if (request.args.length === 0) throw new RuntimeError("invalid-argument", "cmd: empty");
  const { shim } = entry;
  if (state.state !== "running" || shim === undefined) {
    throw new RuntimeError("failed-precondition", `container ${entry.id} is ${state.state}, not running`);
  }
  const { process, seccompFilter } = readExecTemplate(deps.paths.container(entry.id));
  return shim.exec(
    {
      process: buildExecProcess(process, { args: request.args, tty: request.tty }),
      stdin: request.stdin,
      timeoutMs: request.timeoutMs,
      drainMs: request.drainMs,
      ...(seccompFilter === undefined ? {} : { seccompFilter }),
    },
    handlers,
    { signal },
  );
}
