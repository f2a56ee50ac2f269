import type { Cgroup } from "../cgroup/index.ts";
import { SIG } from "../ffi/constants.ts";
import { tryReadFile } from "../ffi/files.ts";
import { kill } from "../ffi/processes.ts";

const maxStatBytes = 4096;
/** Each round finds what the round before had forked meanwhile. */
const maxRounds = 8;

/**
 * Kills a process and what descends from it, among the container's: for where it has no cgroup of its own. What was
 * orphaned before can't be told from the container's own processes any more.
 */
export function killDescendants(root: number, cgroup: Cgroup): void {
  for (let round = 0; round < maxRounds; round++) {
    const victims = descendantsOf(root, cgroup.pids());
    if (victims.length === 0) return;
    for (const pid of victims) kill(pid, SIG.KILL);
  }
}

function descendantsOf(root: number, pids: readonly number[]): number[] {
  const parents = new LuaTable<number, number>();
  for (const pid of pids) {
    const parent = parentOf(pid);
    if (parent !== undefined) parents.set(pid, parent);
  }
  return pids.filter((pid) => descends(pid, root, parents));
}

function descends(pid: number, root: number, parents: LuaTable<number, number>): boolean {
  let at: number | undefined = pid;
  while (at !== undefined && at !== root) at = parents.get(at);
  return at === root && parents.has(pid);
}

/** The parent's number, for a process that lives. */
function parentOf(pid: number): number | undefined {
  const stat = tryReadFile(`/proc/${pid}/stat`, maxStatBytes);
  if (stat === undefined) return undefined;
  const [state, parent] = string.match(stat, "^.*%) (%a) (%d+)");
  return state === "Z" || parent === undefined ? undefined : tonumber(parent);
}
