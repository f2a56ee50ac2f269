import type { Hierarchies } from "../cgroup/index.ts";
import type { Identity } from "../wire/greeting.ts";

/** What the launcher found out once, for all that it forks. */
export interface Context {
  readonly identity: Identity;
  readonly hierarchies: Hierarchies;
  readonly launcherPid: number;
}
