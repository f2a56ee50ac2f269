import type { DestroyRequest } from "../../protocol/messages.ts";
import { type Hierarchies, openCgroup } from "../cgroup/index.ts";
import { prefixed } from "../ffi/error.ts";

/**
 * Kills all in a cgroup and below it, waits until it is empty, and removes it, deepest first; one that is gone is no
 * error. `deadline-exceeded` names the processes that don't die and where in the kernel they hang.
 */
export function destroy(request: DestroyRequest, hierarchies: Hierarchies): void {
  try {
    openCgroup(request.cgroup, hierarchies).destroy(request.timeoutMs);
  } catch (thrown) {
    throw prefixed(request.id, thrown);
  }
}
