import { keyed, limitIn, numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { MemoryDetail, MemoryUsage } from "../numbers.ts";

/** Those with `total_` count the cgroups below too, such as those of added processes. */
const keys = [
  "total_inactive_file",
  "total_rss",
  "total_cache",
  "total_mapped_file",
  "total_pgfault",
  "total_pgmajfault",
  "total_swap",
] as const;

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/memory.html */
export function memoryV1(read: ReadFile): MemoryUsage | undefined {
  const usage = numberIn(read("memory", "memory.usage_in_bytes"));
  if (usage === undefined) return undefined;
  const stat = keyed(read("memory", "memory.stat"), keys);
  const inactiveFile = stat.total_inactive_file ?? 0n;
  const limit = limitIn(read("memory", "memory.limit_in_bytes"));
  const both = limitIn(read("memory", "memory.memsw.limit_in_bytes"));
  return {
    usage,
    // The two are not read at the same moment.
    workingSet: usage > inactiveFile ? usage - inactiveFile : 0n,
    rss: stat.total_rss ?? 0n,
    cache: stat.total_cache ?? 0n,
    mappedFile: stat.total_mapped_file ?? 0n,
    pageFaults: stat.total_pgfault ?? 0n,
    majorPageFaults: stat.total_pgmajfault ?? 0n,
    limit,
    swap: stat.total_swap,
    // v1 limits memory and swap together: what is beyond the limit on memory is swap's.
    swapLimit: both === undefined || limit === undefined ? undefined : both - limit,
  };
}

/** As {@link memoryV1}: the rest. */
export function memoryDetailV1(read: ReadFile): MemoryDetail {
  const own = keyed(read("memory", "memory.stat"), ["pgfault", "pgmajfault"]);
  return {
    peak: numberIn(read("memory", "memory.max_usage_in_bytes")),
    limitHits: numberIn(read("memory", "memory.failcnt")),
    // Since Linux 4.13.
    oomKills: keyed(read("memory", "memory.oom_control"), ["oom_kill"]).oom_kill,
    kernel: numberIn(read("memory", "memory.kmem.usage_in_bytes")),
    swapLimit: limitIn(read("memory", "memory.memsw.limit_in_bytes")),
    reservation: limitIn(read("memory", "memory.soft_limit_in_bytes")),
    ownPageFaults: own.pgfault,
    ownMajorPageFaults: own.pgmajfault,
  };
}
