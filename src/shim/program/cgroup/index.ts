/** A container's cgroup on v1, v2 and the hybrid of both: limits, the way in, killing, freezing, removal. */
import { Cgroup } from "./cgroup.ts";
import type { Hierarchies } from "./hierarchies.ts";

export { discoverHierarchies } from "./discover.ts";
export { hierarchyOf, isPureV2, unifiedOf } from "./hierarchies.ts";
export type { Hierarchies, Hierarchy } from "./hierarchies.ts";
export type { Cgroup } from "./cgroup.ts";
export { closeEntry, enterV1, enterV2 } from "./enter.ts";
export type { CgroupEntry } from "./enter.ts";
export { maxExecSlots } from "./exec-slots.ts";
export type { ExecSlot, SlotEnd } from "./exec-slots.ts";
export { describeProcesses } from "./processes.ts";
export { removeParents } from "./create.ts";
export { folderOf, readCounter, readValue } from "./folder.ts";

/** The cgroup at `path` (absolute from the hierarchies' roots), made or not; `invalid-argument` for a path that is none. */
export function openCgroup(path: string, hierarchies: Hierarchies): Cgroup {
  return new Cgroup(path, hierarchies);
}
