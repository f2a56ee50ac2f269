import assert from "node:assert/strict";
import { test } from "node:test";
import type { CgroupDetail, CgroupUsage } from "../numbers.ts";
import { baseLabels, metricCatalog } from "./catalog.ts";
import type { MetricSource } from "./definition.ts";
import { samples } from "./metrics.ts";

const pressure = (some: bigint, full: bigint) => ({
  some: { avg10: 0, avg60: 0, avg300: 0, totalMicroseconds: some },
  full: { avg10: 0, avg60: 0, avg300: 0, totalMicroseconds: full },
});

const usage: CgroupUsage = {
  at: 5n,
  cpuNanoseconds: 12_900_000_000n,
  memory: {
    usage: 1000n,
    workingSet: 700n,
    rss: 500n,
    cache: 400n,
    mappedFile: 60n,
    pageFaults: 55n,
    majorPageFaults: 11n,
    limit: 4096n,
    swap: 7n,
    swapLimit: 4096n,
  },
  tasks: 3n,
  pressure: {
    cpu: pressure(1_999_999n, 1_000_000n),
    memory: pressure(3_000_000n, 0n),
    io: pressure(5_000_000n, 4_000_000n),
  },
};

const detail: CgroupDetail = {
  cpu: {
    userNanoseconds: 8_000_000_000n,
    systemNanoseconds: 4_000_000_000n,
    periods: 10n,
    throttledPeriods: 4n,
    throttledNanoseconds: 2_500_000_000n,
    periodMicroseconds: 100_000n,
    quotaMicroseconds: 20_000n,
    shares: 512n,
  },
  memory: {
    peak: 2000n,
    limitHits: 9n,
    oomKills: 2n,
    kernel: 80n,
    swapLimit: 8192n,
    reservation: undefined,
    ownPageFaults: 5n,
    ownMajorPageFaults: 1n,
  },
  io: {
    bytes: [
      { major: 8, minor: 0, operation: "Read", value: 4096n },
      { major: 8, minor: 0, operation: "Write", value: 8192n },
    ],
    operations: [
      { major: 8, minor: 0, operation: "Read", value: 1n },
      { major: 8, minor: 0, operation: "Write", value: 2n },
    ],
  },
  hugetlb: [{ pageSize: "2MB", usage: 2_097_152n, peak: 4_194_304n }],
  tasksMax: undefined,
};

const everything: MetricSource = {
  usage,
  detail,
  processes: { processes: 2n, fileDescriptors: 20n, sockets: 4n },
  maxOpenFiles: 1024n,
  layer: { usedBytes: 3000n, inodes: 3n, at: 4n },
  filesystem: {
    type: 1,
    totalBytes: 1_000_000n,
    availableBytes: 500_000n,
    inodes: 9000n,
    freeInodes: 8000n,
    device: "/dev/vda1",
  },
  interfaces: [
    {
      name: "eth0",
      rxBytes: 1n,
      rxPackets: 2n,
      rxErrors: 3n,
      rxDropped: 4n,
      txBytes: 5n,
      txPackets: 6n,
      txErrors: 7n,
      txDropped: 8n,
    },
  ],
  shares: 2n,
  startedAt: 100_900_000_000n,
  now: 200_900_000_000n,
  deviceName: (major, minor) => `/dev/${major}-${minor}`,
};

/** Every value with the labels that are its own. */
const expected: Readonly<Record<string, bigint>> = {
  "container_cpu_usage_seconds_total total": 12n,
  container_cpu_user_seconds_total: 8n,
  container_cpu_system_seconds_total: 4n,
  container_cpu_cfs_periods_total: 10n,
  container_cpu_cfs_throttled_periods_total: 4n,
  container_cpu_cfs_throttled_seconds_total: 2n,
  container_spec_cpu_period: 100_000n,
  container_spec_cpu_quota: 20_000n,
  container_spec_cpu_shares: 512n,
  container_memory_usage_bytes: 1000n,
  container_memory_working_set_bytes: 700n,
  container_memory_rss: 500n,
  container_memory_cache: 400n,
  container_memory_mapped_file: 60n,
  container_memory_swap: 7n,
  container_memory_kernel_usage: 80n,
  container_memory_max_usage_bytes: 2000n,
  container_memory_failcnt: 9n,
  "container_memory_failures_total pgfault container": 5n,
  "container_memory_failures_total pgfault hierarchy": 55n,
  "container_memory_failures_total pgmajfault container": 1n,
  "container_memory_failures_total pgmajfault hierarchy": 11n,
  container_oom_events_total: 2n,
  container_spec_memory_limit_bytes: 4096n,
  container_spec_memory_swap_limit_bytes: 8192n,
  container_spec_memory_reservation_limit_bytes: 0n,
  "container_hugetlb_usage_bytes 2MB": 2_097_152n,
  "container_hugetlb_max_usage_bytes 2MB": 4_194_304n,
  "container_fs_reads_bytes_total /dev/8-0": 4096n,
  "container_fs_reads_total /dev/8-0": 1n,
  "container_fs_writes_bytes_total /dev/8-0": 8192n,
  "container_fs_writes_total /dev/8-0": 2n,
  "container_blkio_device_usage_total /dev/8-0 8 0 Read": 4096n,
  "container_blkio_device_usage_total /dev/8-0 8 0 Write": 8192n,
  "container_fs_usage_bytes /dev/vda1": 3000n,
  "container_fs_limit_bytes /dev/vda1": 1_000_000n,
  "container_fs_inodes_total /dev/vda1": 9000n,
  "container_fs_inodes_free /dev/vda1": 8000n,
  "container_network_receive_bytes_total eth0": 1n,
  "container_network_receive_packets_total eth0": 2n,
  "container_network_receive_errors_total eth0": 3n,
  "container_network_receive_packets_dropped_total eth0": 4n,
  "container_network_transmit_bytes_total eth0": 5n,
  "container_network_transmit_packets_total eth0": 6n,
  "container_network_transmit_errors_total eth0": 7n,
  "container_network_transmit_packets_dropped_total eth0": 8n,
  container_pressure_cpu_waiting_seconds_total: 1n,
  container_pressure_cpu_stalled_seconds_total: 1n,
  container_pressure_memory_waiting_seconds_total: 3n,
  container_pressure_memory_stalled_seconds_total: 0n,
  container_pressure_io_waiting_seconds_total: 5n,
  container_pressure_io_stalled_seconds_total: 4n,
  container_processes: 2n,
  container_threads: 3n,
  container_threads_max: 0n,
  container_file_descriptors: 20n,
  container_sockets: 4n,
  "container_ulimits_soft max_open_files": 1024n,
  container_start_time_seconds: 100n,
  container_last_seen: 200n,
};

const base = ["app", "/pod/c", "busybox", "c", "shop", "web"];

test("metrics: every one has its value, labels in the order of their keys", () => {
  const found = samples(base, everything).map(({ definition, labels, value }) => {
    assert.deepEqual(labels.slice(0, baseLabels.length), base);
    assert.equal(labels.length, baseLabels.length + definition.labels.length, definition.name);
    return [[definition.name, ...labels.slice(baseLabels.length)].join(" "), value] as const;
  });
  assert.deepEqual(Object.fromEntries(found), expected);
  assert.equal(found.length, Object.keys(expected).length, "no series twice");
});

test("metrics: the catalog has the 56 names, each once and with a help text", () => {
  const names = metricCatalog.map(({ name }) => name);
  assert.equal(new Set(names).size, 56);
  assert.equal(names.length, 56);
  assert.deepEqual(new Set(Object.keys(expected).map((key) => key.split(" ")[0])), new Set(names));
  assert.ok(metricCatalog.every(({ help }) => help.length > 5));
});

test("metrics: only what was measured ahead carries a time", () => {
  const timed = samples(base, everything).filter(({ at }) => at !== undefined);
  assert.deepEqual(
    timed.map(({ definition, at }) => [definition.name, at]),
    [["container_fs_usage_bytes", 4n]],
  );
});

test("metrics: what is not known is left out", () => {
  const nothing = samples(base, {
    ...everything,
    usage: undefined,
    detail: undefined,
    processes: undefined,
    maxOpenFiles: undefined,
    layer: undefined,
    filesystem: undefined,
    interfaces: [],
    shares: undefined,
  });
  assert.deepEqual(
    nothing.map(({ definition }) => definition.name),
    ["container_start_time_seconds", "container_last_seen"],
  );
  const unlimited = samples(base, {
    ...everything,
    detail: { ...detail, cpu: { ...detail.cpu, quotaMicroseconds: undefined, shares: undefined } },
  }).map(({ definition, value }) => [definition.name, value] as const);
  const values = new Map(unlimited);
  assert.equal(values.get("container_spec_cpu_shares"), 2n);
  for (const name of ["container_spec_cpu_quota", "container_cpu_cfs_periods_total"])
    assert.equal(values.has(name), false, name);
});
