import { keyed, numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { CpuDetail } from "../numbers.ts";

/** cpuacct.stat counts in ticks of USER_HZ, which is 100 on every architecture that is supported (time(7)). */
const nanosecondsPerTick = 10_000_000n;

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/cpuacct.html */
export function cpuNanosecondsV1(read: ReadFile): bigint | undefined {
  return numberIn(read("cpuacct", "cpuacct.usage"));
}

/** @see https://docs.kernel.org/scheduler/sched-bwc.html */
export function cpuDetailV1(read: ReadFile): CpuDetail {
  const ticks = keyed(read("cpuacct", "cpuacct.stat"), ["user", "system"]);
  const stat = keyed(read("cpu", "cpu.stat"), ["nr_periods", "nr_throttled", "throttled_time"]);
  return {
    userNanoseconds: nanoseconds(ticks.user),
    systemNanoseconds: nanoseconds(ticks.system),
    periods: stat.nr_periods,
    throttledPeriods: stat.nr_throttled,
    throttledNanoseconds: stat.throttled_time,
    periodMicroseconds: numberIn(read("cpu", "cpu.cfs_period_us")),
    // No limit is -1, which is no number here.
    quotaMicroseconds: numberIn(read("cpu", "cpu.cfs_quota_us")),
    shares: numberIn(read("cpu", "cpu.shares")),
  };
}

function nanoseconds(ticks: bigint | undefined): bigint | undefined {
  return ticks === undefined ? undefined : ticks * nanosecondsPerTick;
}
