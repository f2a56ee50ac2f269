import type { CpuDetail, HugetlbUsage, IoDetail, MemoryDetail, MemoryUsage } from "./numbers.ts";

/** What a cgroup's file says now; undefined where there is none. Given to the readers of v1/ and v2/. */
export type ReadFile = (controller: string, file: string) => string | undefined;

/** How one version of cgroups tells its numbers; pure but for `read`. v1/ and v2/ have one file a controller each. */
export interface Controllers {
  readonly cpuNanoseconds: (read: ReadFile) => bigint | undefined;
  readonly cpuDetail: (read: ReadFile) => CpuDetail;
  readonly memory: (read: ReadFile) => MemoryUsage | undefined;
  readonly memoryDetail: (read: ReadFile) => MemoryDetail;
  readonly tasks: (read: ReadFile) => bigint | undefined;
  readonly tasksMax: (read: ReadFile) => bigint | undefined;
  readonly io: (read: ReadFile) => IoDetail;
  readonly hugetlb: (read: ReadFile, pageSizes: readonly string[]) => readonly HugetlbUsage[];
  /** The hierarchy whose cgroup.procs lists the processes. */
  readonly processHierarchy: string;
}
