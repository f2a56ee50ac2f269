import { counter, gauge, type MetricDefinition, type MetricSource, type MetricValue } from "./definition.ts";

/** Page faults: of the cgroup alone as `container`, with all below it as `hierarchy`. */
function failures({ usage, detail }: MetricSource): readonly MetricValue[] {
  const all: readonly (readonly [string, string, bigint | undefined])[] = [
    ["pgfault", "container", detail?.memory.ownPageFaults],
    ["pgfault", "hierarchy", usage?.memory?.pageFaults],
    ["pgmajfault", "container", detail?.memory.ownMajorPageFaults],
    ["pgmajfault", "hierarchy", usage?.memory?.majorPageFaults],
  ];
  return all.flatMap(([type, scope, value]) =>
    value === undefined ? [] : [{ labels: [type, scope], value }],
  );
}

/** A limit of the memory controller, where there is one at all: 0 is no limit. */
function limit(read: (source: MetricSource) => bigint | undefined) {
  return (source: MetricSource): bigint | undefined =>
    source.usage?.memory === undefined ? undefined : (read(source) ?? 0n);
}

/** Memory and the limits on it. */
export const memoryMetrics: readonly MetricDefinition[] = [
  gauge(
    "container_memory_usage_bytes",
    "Memory in use, caches included.",
    ({ usage }) => usage?.memory?.usage,
  ),
  gauge(
    "container_memory_working_set_bytes",
    "Memory in use without inactive file cache.",
    ({ usage }) => usage?.memory?.workingSet,
  ),
  gauge("container_memory_rss", "Anonymous memory, in bytes.", ({ usage }) => usage?.memory?.rss),
  gauge("container_memory_cache", "Page cache, in bytes.", ({ usage }) => usage?.memory?.cache),
  gauge("container_memory_mapped_file", "Mapped files, in bytes.", ({ usage }) => usage?.memory?.mappedFile),
  gauge("container_memory_swap", "Memory that is swapped out, in bytes.", ({ usage }) => usage?.memory?.swap),
  gauge("container_memory_kernel_usage", "Kernel memory, in bytes.", ({ detail }) => detail?.memory.kernel),
  gauge("container_memory_max_usage_bytes", "Most memory ever in use.", ({ detail }) => detail?.memory.peak),
  counter(
    "container_memory_failcnt",
    "How often the memory limit was reached.",
    ({ detail }) => detail?.memory.limitHits,
  ),
  {
    name: "container_memory_failures_total",
    help: "Page faults.",
    kind: "counter",
    labels: ["failure_type", "scope"],
    values: failures,
  },
  counter(
    "container_oom_events_total",
    "Processes killed for want of memory.",
    ({ detail }) => detail?.memory.oomKills,
  ),
  gauge(
    "container_spec_memory_limit_bytes",
    "Limit on memory; 0 is none.",
    limit(({ usage }) => usage?.memory?.limit),
  ),
  gauge(
    "container_spec_memory_swap_limit_bytes",
    "Limit on swap, on cgroup v1 on memory and swap together; 0 is none.",
    limit(({ detail }) => detail?.memory.swapLimit),
  ),
  gauge(
    "container_spec_memory_reservation_limit_bytes",
    "Memory that is kept for the container: the soft limit, or memory.min on cgroup v2; 0 is none.",
    limit(({ detail }) => detail?.memory.reservation),
  ),
  {
    name: "container_hugetlb_usage_bytes",
    help: "Huge pages in use.",
    kind: "gauge",
    labels: ["pagesize"],
    values: ({ detail }) =>
      (detail?.hugetlb ?? []).map(({ pageSize, usage }) => ({ labels: [pageSize], value: usage })),
  },
  {
    name: "container_hugetlb_max_usage_bytes",
    help: "Most huge pages ever in use; cgroup v2 does not tell.",
    kind: "gauge",
    labels: ["pagesize"],
    values: ({ detail }) =>
      (detail?.hugetlb ?? []).flatMap(({ pageSize, peak }) =>
        peak === undefined ? [] : [{ labels: [pageSize], value: peak }],
      ),
  },
];
