import type { Containers } from "../../sandbox/index.ts";
import { secondsToMs } from "../convert/fields.ts";
import type { ExecSyncRequest__Output } from "../types/runtime/v1/ExecSyncRequest.ts";
import type { ExecSyncResponse } from "../types/runtime/v1/ExecSyncResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Runs a command in a container to its end; a nonzero exit code is no error. */
export function execSync(containers: Containers): UnaryHandler<ExecSyncRequest__Output, ExecSyncResponse> {
  return async (request, { signal }) => {
    const timeoutMs = secondsToMs("timeout", request.timeout);
    const { stdout, stderr, exitCode } = await containers.execSync(
      request.container_id,
      request.cmd,
      timeoutMs,
      signal,
    );
    return { stdout, stderr, exit_code: exitCode };
  };
}
