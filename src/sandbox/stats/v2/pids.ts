import { limitIn, numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#pid-interface-files */
export function tasksV2(read: ReadFile): bigint | undefined {
  return numberIn(read("unified", "pids.current"));
}

/** As {@link tasksV2}: the limit, absent where it says `max`. */
export function tasksMaxV2(read: ReadFile): bigint | undefined {
  return limitIn(read("unified", "pids.max"));
}
