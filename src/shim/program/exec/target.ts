import type { Cgroup, ExecSlot, SlotEnd } from "../cgroup/index.ts";
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

/** How a supervisor tells the shim what became of its sub-cgroup: its exit status is the place in this list. */
export const slotEnds: readonly SlotEnd[] = ["empty", "left", "killed"];
