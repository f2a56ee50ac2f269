import type { SpecProcess } from "../core/oci-runtime-spec.ts";
import { checkArguments } from "./command.ts";
import { withTerminal } from "./environment.ts";

/** What an exec brings of its own. */
export interface ExecProcessRequest {
  readonly args: readonly string[];
  readonly tty: boolean;
}

/**
 * The process of an exec: the container's own user, capabilities, environment, folder, labels and no_new_privs, with the
 * given arguments. An empty command is `invalid-argument`.
 */
export function buildExecProcess(container: SpecProcess, request: ExecProcessRequest): SpecProcess {
  const { terminal: _terminal, consoleSize: _consoleSize, ...same } = container;
  return {
    ...same,
    args: checkArguments(request.args),
    ...(request.tty ? { terminal: true, env: withTerminal(same.env ?? []) } : {}),
  };
}
