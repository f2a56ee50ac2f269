import { keyed, numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { CpuDetail } from "../numbers.ts";

const nanosecondsPerMicrosecond = 1000n;

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files */
export function cpuNanosecondsV2(read: ReadFile): bigint | undefined {
  return nanoseconds(keyed(read("unified", "cpu.stat"), ["usage_usec"]).usage_usec);
}

/** As {@link cpuNanosecondsV2}: the rest. v2 has a weight instead of shares. */
export function cpuDetailV2(read: ReadFile): CpuDetail {
  const stat = keyed(read("unified", "cpu.stat"), [
    "user_usec",
    "system_usec",
    "nr_periods",
    "nr_throttled",
    "throttled_usec",
  ]);
  const [quota, period] = (read("unified", "cpu.max") ?? "").trimEnd().split(" ");
  return {
    userNanoseconds: nanoseconds(stat.user_usec),
    systemNanoseconds: nanoseconds(stat.system_usec),
    periods: stat.nr_periods,
    throttledPeriods: stat.nr_throttled,
    throttledNanoseconds: nanoseconds(stat.throttled_usec),
    periodMicroseconds: numberIn(period),
    // No limit is `max`, which is no number here.
    quotaMicroseconds: numberIn(quota),
    shares: undefined,
  };
}

function nanoseconds(microseconds: bigint | undefined): bigint | undefined {
  return microseconds === undefined ? undefined : microseconds * nanosecondsPerMicrosecond;
}
