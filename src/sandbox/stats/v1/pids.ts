import { limitIn, numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/pids.html */
export function tasksV1(read: ReadFile): bigint | undefined {
  return numberIn(read("pids", "pids.current"));
}

/** As {@link tasksV1}: the limit, absent where it says `max`. */
export function tasksMaxV1(read: ReadFile): bigint | undefined {
  return limitIn(read("pids", "pids.max"));
}
