/** A limit on huge pages of one size, such as `2MB`. */
export interface HugepageLimit {
  readonly pageSize: string;
  readonly limitBytes: bigint;
}

/**
 * What a container may use, in the CRI's terms. A field that is absent is not set (on create) or kept (on update).
 */
export interface LinuxResources {
  /** CFS period in microseconds. */
  readonly cpuPeriodUs?: bigint;
  /** CFS quota in microseconds a period; -1 is no limit. */
  readonly cpuQuotaUs?: bigint;
  /** Relative weight, 2 to 262144. */
  readonly cpuShares?: bigint;
  readonly memoryLimitBytes?: bigint;
  /** Memory and swap together; -1 is no limit. */
  readonly memorySwapLimitBytes?: bigint;
  /** -1000 to 1000. */
  readonly oomScoreAdj?: number;
  /** List format of cpuset(7), such as `0-2,7`. */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly hugepageLimits?: readonly HugepageLimit[];
  /** cgroup v2 file name to value. */
  readonly unified?: Readonly<Record<string, string>>;
}
