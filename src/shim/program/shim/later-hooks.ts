import type { SpecHook } from "../../../core/oci-runtime-spec.ts";
import type { CreatedInit } from "../create/message.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import { asFailure } from "../ffi/error.ts";
import { exit, fork } from "../ffi/processes.ts";
import type { OciState } from "../hooks/run-hooks.ts";
import { runHooks } from "../hooks/run-hooks.ts";

/**
 * Runs poststart or poststop hooks in a child, so that a hook that hangs holds up nothing. One that fails is told in
 * the launcher's log only: the container goes on (runtime spec, runtime.md#lifecycle). Returns the child, or
 * `undefined` where there is nothing to run.
 */
export function runLaterHooks(
  kind: "poststart" | "poststop",
  init: CreatedInit,
  id: string,
  bundle: string,
): number | undefined {
  const hooks: readonly SpecHook[] = init[kind] ?? [];
  if (hooks.length === 0) return undefined;
  const child = fork();
  if (child !== 0) return child;
  closeAllBut([]);
  const state: OciState = {
    ociVersion: init.ociVersion,
    id,
    status: kind === "poststart" ? "running" : "stopped",
    pid: kind === "poststart" ? init.pid : 0,
    bundle,
    annotations: init.annotations ?? {},
  };
  for (const hook of hooks) {
    const [ok, thrown] = pcall(runHooks, [hook], state, kind);
    if (!ok) print(`${id}: ${asFailure(thrown).message}`);
  }
  return exit(0);
}
