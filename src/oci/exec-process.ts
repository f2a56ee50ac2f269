import { RuntimeError } from "../core/errors.ts";
import type { Spec, SpecProcess } from "../core/oci-runtime-spec.ts";
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
export function buildExecProcess(containerSpec: Spec, request: ExecProcessRequest): SpecProcess {
  if (containerSpec.process === undefined) {
    throw new RuntimeError("internal", "the container's spec has no process");
  }
  const { terminal: _terminal, consoleSize: _consoleSize, ...same } = containerSpec.process;
  return {
    ...same,
    args: checkArguments(request.args),
    ...(request.tty ? { terminal: true, env: withTerminal(same.env ?? []) } : {}),
  };
}
