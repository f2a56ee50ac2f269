/** One line of a pressure file (PSI). */
export interface PressureLine {
  /** Percentage of time stalled over 10 seconds, a minute, five minutes. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  /** Time stalled since the cgroup was made. */
  readonly totalMicroseconds: bigint;
}

/** What tasks waited for one resource: `some` while at least one did, `full` while all did. */
export interface Pressure {
  readonly some?: PressureLine;
  readonly full?: PressureLine;
}

/** The three resources that the kernel measures pressure on; absent where it does not. */
export interface Pressures {
  readonly cpu: Pressure | undefined;
  readonly memory: Pressure | undefined;
  readonly io: Pressure | undefined;
}

/** Memory of a cgroup and all below it, in bytes. */
export interface MemoryUsage {
  /** All that is charged, caches included. */
  readonly usage: bigint;
  /** `usage` without inactive file cache, as the kubelet counts it against eviction thresholds. */
  readonly workingSet: bigint;
  /** Anonymous memory. */
  readonly rss: bigint;
  readonly cache: bigint;
  readonly mappedFile: bigint;
  readonly pageFaults: bigint;
  readonly majorPageFaults: bigint;
  /** Absent is no limit. */
  readonly limit: bigint | undefined;
  /** What is swapped out; absent where the kernel does not count it. */
  readonly swap: bigint | undefined;
  /** What may be swapped out; absent is no limit. */
  readonly swapLimit: bigint | undefined;
}

/** What the stats calls show of a cgroup; a value that the kernel does not give is absent. */
export interface CgroupUsage {
  /** Nanoseconds since the epoch, taken just before the first value was read. */
  readonly at: bigint;
  /** Time on all CPUs since the cgroup was made. */
  readonly cpuNanoseconds: bigint | undefined;
  readonly memory: MemoryUsage | undefined;
  /** Tasks, threads counted. */
  readonly tasks: bigint | undefined;
  readonly pressure: Pressures;
}

/** Processor time and the limit on it. */
export interface CpuDetail {
  readonly userNanoseconds: bigint | undefined;
  readonly systemNanoseconds: bigint | undefined;
  readonly periods: bigint | undefined;
  readonly throttledPeriods: bigint | undefined;
  readonly throttledNanoseconds: bigint | undefined;
  readonly periodMicroseconds: bigint | undefined;
  /** Absent is no limit. */
  readonly quotaMicroseconds: bigint | undefined;
  /** As v1 counts them, 2 to 262144; absent where only v2's weight is known. */
  readonly shares: bigint | undefined;
}

/** What happened to a cgroup's memory, and the limits as the kernel holds them; bytes. */
export interface MemoryDetail {
  readonly peak: bigint | undefined;
  readonly limitHits: bigint | undefined;
  readonly oomKills: bigint | undefined;
  readonly kernel: bigint | undefined;
  /** Of v1 memory and swap together, of v2 swap alone, as cAdvisor shows it; absent is no limit. */
  readonly swapLimit: bigint | undefined;
  /** v1 the soft limit, v2 memory.min; absent is none. */
  readonly reservation: bigint | undefined;
  /** Page faults of the cgroup alone, those below it left out. */
  readonly ownPageFaults: bigint | undefined;
  readonly ownMajorPageFaults: bigint | undefined;
}

/** One counter of one block device. */
export interface IoCounter {
  readonly major: number;
  readonly minor: number;
  /** `Read`, `Write`, `Discard`, and on v1 `Sync`, `Async`. */
  readonly operation: string;
  readonly value: bigint;
}

/** Block input and output since the cgroup was made. */
export interface IoDetail {
  readonly bytes: readonly IoCounter[];
  readonly operations: readonly IoCounter[];
}

/** Huge pages of one size, in bytes. */
export interface HugetlbUsage {
  /** Such as `2MB`. */
  readonly pageSize: string;
  readonly usage: bigint;
  /** The highest so far; v2 keeps none. */
  readonly peak: bigint | undefined;
}

/** What metrics show beyond {@link CgroupUsage}. */
export interface CgroupDetail {
  readonly cpu: CpuDetail;
  readonly memory: MemoryDetail;
  readonly io: IoDetail;
  readonly hugetlb: readonly HugetlbUsage[];
  /** The limit on tasks; absent is none. */
  readonly tasksMax: bigint | undefined;
}
