import { keyed, limitIn, numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { MemoryDetail, MemoryUsage } from "../numbers.ts";

const keys = ["inactive_file", "anon", "file", "file_mapped", "pgfault", "pgmajfault"] as const;

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files */
export function memoryV2(read: ReadFile): MemoryUsage | undefined {
  const usage = numberIn(read("unified", "memory.current"));
  if (usage === undefined) return undefined;
  const stat = keyed(read("unified", "memory.stat"), keys);
  const inactiveFile = stat.inactive_file ?? 0n;
  return {
    usage,
    // The two are not read at the same moment.
    workingSet: usage > inactiveFile ? usage - inactiveFile : 0n,
    rss: stat.anon ?? 0n,
    cache: stat.file ?? 0n,
    mappedFile: stat.file_mapped ?? 0n,
    pageFaults: stat.pgfault ?? 0n,
    majorPageFaults: stat.pgmajfault ?? 0n,
    limit: limitIn(read("unified", "memory.max")),
    swap: numberIn(read("unified", "memory.swap.current")),
    swapLimit: limitIn(read("unified", "memory.swap.max")),
  };
}

/** As {@link memoryV2}: the rest. */
export function memoryDetailV2(read: ReadFile): MemoryDetail {
  const stat = keyed(read("unified", "memory.stat"), [
    "kernel",
    "kernel_stack",
    "slab",
    "pgfault",
    "pgmajfault",
  ]);
  const events = keyed(read("unified", "memory.events"), ["max", "oom_kill"]);
  return {
    // Since Linux 5.19.
    peak: numberIn(read("unified", "memory.peak")),
    limitHits: events.max,
    oomKills: events.oom_kill,
    // `kernel` since Linux 5.18; before, its two largest parts.
    kernel: stat.kernel ?? sum(stat.kernel_stack, stat.slab),
    swapLimit: limitIn(read("unified", "memory.swap.max")),
    reservation: limitIn(read("unified", "memory.min")),
    // v2 counts the cgroups below in everything.
    ownPageFaults: stat.pgfault,
    ownMajorPageFaults: stat.pgmajfault,
  };
}

function sum(one: bigint | undefined, other: bigint | undefined): bigint | undefined {
  return one === undefined && other === undefined ? undefined : (one ?? 0n) + (other ?? 0n);
}
