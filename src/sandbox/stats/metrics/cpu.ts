import { counter, gauge, seconds, type MetricDefinition, type MetricSource } from "./definition.ts";

/** cAdvisor tells of throttling only where there is a limit. */
function throttling(read: (cpu: NonNullable<MetricSource["detail"]>["cpu"]) => bigint | undefined) {
  return ({ detail }: MetricSource): bigint | undefined =>
    detail?.cpu.quotaMicroseconds === undefined ? undefined : read(detail.cpu);
}

/** Processor time and the limits on it. */
export const cpuMetrics: readonly MetricDefinition[] = [
  {
    name: "container_cpu_usage_seconds_total",
    help: "CPU time used on all CPUs, in seconds.",
    kind: "counter",
    labels: ["cpu"],
    values: ({ usage }) => {
      const value = seconds(usage?.cpuNanoseconds);
      return value === undefined ? [] : [{ labels: ["total"], value }];
    },
  },
  counter("container_cpu_user_seconds_total", "CPU time used in user mode, in seconds.", ({ detail }) =>
    seconds(detail?.cpu.userNanoseconds),
  ),
  counter("container_cpu_system_seconds_total", "CPU time used in kernel mode, in seconds.", ({ detail }) =>
    seconds(detail?.cpu.systemNanoseconds),
  ),
  counter(
    "container_cpu_cfs_periods_total",
    "Periods in which the CPU limit was enforced.",
    throttling((cpu) => cpu.periods),
  ),
  counter(
    "container_cpu_cfs_throttled_periods_total",
    "Periods in which the CPU limit was reached.",
    throttling((cpu) => cpu.throttledPeriods),
  ),
  counter(
    "container_cpu_cfs_throttled_seconds_total",
    "Time for which the CPU limit kept tasks waiting, in seconds.",
    throttling((cpu) => seconds(cpu.throttledNanoseconds)),
  ),
  gauge(
    "container_spec_cpu_period",
    "Length of a period of the CPU limit, in microseconds.",
    ({ detail }) => detail?.cpu.periodMicroseconds,
  ),
  gauge(
    "container_spec_cpu_quota",
    "CPU time allowed in each period, in microseconds.",
    ({ detail }) => detail?.cpu.quotaMicroseconds,
  ),
  // v2 has a weight that several shares lead to: then it is what was asked for.
  gauge(
    "container_spec_cpu_shares",
    "Weight of the CPU time, 2 to 262144.",
    ({ detail, shares }) => detail?.cpu.shares ?? shares,
  ),
];
