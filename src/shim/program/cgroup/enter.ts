import { O } from "../ffi/constants.ts";
import { sysError } from "../ffi/error.ts";
import { close, open, openat } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { folderOf } from "./folder.ts";
import type { Hierarchies, Hierarchy } from "./hierarchies.ts";

/**
 * Open files through which a child enters a cgroup. Opened before the clone, by a process that may: the kernel asks
 * the opener's rights, so it works from a new user namespace as well.
 *
 * How a process joins matters: a write of a pid, or any write to cgroup.procs, waits for an RCU grace period when
 * nobody did the same just before (5 to 17 ms measured on Linux 6.18), a thread that moves itself by writing 0 to a v1
 * `tasks` file does not (0.02 ms), nor does clone3 with CLONE_INTO_CGROUP (0.1 ms more than without).
 */
export interface CgroupEntry {
  /** `tasks` of every v1 hierarchy. */
  readonly tasks: readonly number[];
  /** The v2 folder, for clone3's CLONE_INTO_CGROUP; absent where v2 is not mounted. */
  readonly into?: number;
}

/** Opens the way into the cgroup whose path in each hierarchy `pathIn` gives. */
export function openEntry(hierarchies: Hierarchies, pathIn: (hierarchy: Hierarchy) => string): CgroupEntry {
  const tasks: number[] = [];
  let into: number | undefined;
  const [ok, problem] = pcall(() => {
    for (const hierarchy of hierarchies) {
      const folder = folderOf(hierarchy, pathIn(hierarchy));
      if (hierarchy.version === 2) {
        into = open(folder, O.RDONLY | O.DIRECTORY);
      } else {
        tasks.push(open(`${folder}/tasks`, O.WRONLY));
      }
    }
  });
  const entry: CgroupEntry = { tasks, into };
  if (ok) return entry;
  closeEntry(entry);
  throw problem;
}

/** Moves the calling process into the v1 cgroups: the first thing that a child does. */
export function enterV1(entry: CgroupEntry): void {
  for (const fd of entry.tasks) {
    if (C.write(fd, "0", 1) < 0) throw sysError("write", "tasks of the container's cgroup");
  }
}

/** Moves the calling process into the v2 cgroup, slowly: where clone3 could not start it there. */
export function enterV2(entry: CgroupEntry): void {
  if (entry.into === undefined) return;
  const fd = openat(entry.into, "cgroup.procs", O.WRONLY);
  const put = C.write(fd, "0", 1);
  const problem = put < 0 ? sysError("write", "cgroup.procs of the container's cgroup") : undefined;
  close(fd);
  if (problem !== undefined) throw problem;
}

/** Closes the files, in parent and child alike. */
export function closeEntry(entry: CgroupEntry): void {
  for (const fd of entry.tasks) close(fd);
  if (entry.into !== undefined) close(entry.into);
}
