import type { Cgroup, ExecSlot } from "../cgroup/index.ts";
import type { CreatedInit } from "../create/message.ts";

/** The container that a process is added to. */
export interface ExecTarget {
  readonly init: CreatedInit;
  /** Init, whatever becomes of its number. */
  readonly pidfd: number;
  readonly cgroup: Cgroup;
  /** The process's sub-cgroup; absent where the container's cgroup takes none. */
  readonly slot: ExecSlot | undefined;
}
