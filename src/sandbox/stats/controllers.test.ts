import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReadFile } from "./controllers.ts";
import { controllersV1 } from "./v1/controllers.ts";
import { controllersV2 } from "./v2/controllers.ts";

/** Reads from a table of `controller/file` and text. */
function reading(files: Readonly<Record<string, string>>): ReadFile {
  return (controller, file) => files[`${controller}/${file}`];
}

const v1 = reading({
  "cpuacct/cpuacct.usage": "1234567890123456789\n",
  "cpuacct/cpuacct.stat": "user 250\nsystem 50\n",
  "cpu/cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 2500000000\nnr_bursts 0\n",
  "cpu/cpu.cfs_period_us": "100000\n",
  "cpu/cpu.cfs_quota_us": "20000\n",
  "cpu/cpu.shares": "512\n",
  "memory/memory.usage_in_bytes": "10000\n",
  "memory/memory.stat":
    "cache 1\nrss 2\npgfault 5\npgmajfault 1\ninactive_file 7\ntotal_cache 4000\ntotal_rss 5000\n" +
    "total_mapped_file 600\ntotal_swap 70\ntotal_pgfault 55\ntotal_pgmajfault 11\ntotal_inactive_file 3000\n",
  "memory/memory.limit_in_bytes": "65536\n",
  "memory/memory.memsw.limit_in_bytes": "131072\n",
  "memory/memory.soft_limit_in_bytes": "9223372036854771712\n",
  "memory/memory.max_usage_in_bytes": "20000\n",
  "memory/memory.failcnt": "9\n",
  "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
  "memory/memory.kmem.usage_in_bytes": "800\n",
  "pids/pids.current": "12\n",
  "pids/pids.max": "max\n",
  "hugetlb/hugetlb.2MB.usage_in_bytes": "2097152\n",
  "hugetlb/hugetlb.2MB.max_usage_in_bytes": "4194304\n",
  "blkio/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
  "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\nTotal 4096\n",
  "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 2\nTotal 2\n",
});

const v2 = reading({
  "unified/cpu.stat":
    "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 10\nnr_throttled 3\nthrottled_usec 250\n",
  "unified/cpu.max": "max 100000\n",
  "unified/memory.current": "10000\n",
  "unified/memory.stat":
    "anon 5000\nfile 4000\nkernel 800\nfile_mapped 600\ninactive_file 13000\npgfault 55\npgmajfault 11\n",
  "unified/memory.max": "max\n",
  "unified/memory.min": "4096\n",
  "unified/memory.peak": "20000\n",
  "unified/memory.swap.current": "70\n",
  "unified/memory.swap.max": "140\n",
  "unified/memory.events": "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n",
  "unified/pids.current": "12\n",
  "unified/pids.max": "100\n",
  "unified/hugetlb.2MB.current": "2097152\n",
  "unified/io.stat": "8:0 rbytes=4096 wbytes=0 rios=2 wios=0 dbytes=0 dios=0\n",
});

test("controllers v1: cpu", () => {
  assert.equal(controllersV1.cpuNanoseconds(v1), 1234567890123456789n);
  assert.deepEqual(controllersV1.cpuDetail(v1), {
    userNanoseconds: 2_500_000_000n,
    systemNanoseconds: 500_000_000n,
    periods: 10n,
    throttledPeriods: 3n,
    throttledNanoseconds: 2_500_000_000n,
    periodMicroseconds: 100_000n,
    quotaMicroseconds: 20_000n,
    shares: 512n,
  });
});

test("controllers v1: memory with the cgroups below, swap apart from it", () => {
  assert.deepEqual(controllersV1.memory(v1), {
    usage: 10_000n,
    workingSet: 7000n,
    rss: 5000n,
    cache: 4000n,
    mappedFile: 600n,
    pageFaults: 55n,
    majorPageFaults: 11n,
    limit: 65_536n,
    swap: 70n,
    swapLimit: 65_536n,
  });
  assert.deepEqual(controllersV1.memoryDetail(v1), {
    peak: 20_000n,
    limitHits: 9n,
    oomKills: 2n,
    kernel: 800n,
    swapLimit: 131_072n,
    reservation: undefined,
    ownPageFaults: 5n,
    ownMajorPageFaults: 1n,
  });
});

test("controllers v1: pids, huge pages, block devices", () => {
  assert.equal(controllersV1.tasks(v1), 12n);
  assert.equal(controllersV1.tasksMax(v1), undefined);
  assert.deepEqual(controllersV1.hugetlb(v1, ["2MB", "1GB"]), [
    { pageSize: "2MB", usage: 2_097_152n, peak: 4_194_304n },
  ]);
  // An empty count of the scheduler's is not that of all devices.
  assert.deepEqual(controllersV1.io(v1), {
    bytes: [{ major: 8, minor: 0, operation: "Read", value: 4096n }],
    operations: [{ major: 8, minor: 0, operation: "Read", value: 2n }],
  });
});

test("controllers v2: cpu", () => {
  assert.equal(controllersV2.cpuNanoseconds(v2), 3_000_000n);
  assert.deepEqual(controllersV2.cpuDetail(v2), {
    userNanoseconds: 2_000_000n,
    systemNanoseconds: 1_000_000n,
    periods: 10n,
    throttledPeriods: 3n,
    throttledNanoseconds: 250_000n,
    periodMicroseconds: 100_000n,
    quotaMicroseconds: undefined,
    shares: undefined,
  });
});

test("controllers v2: memory, the working set never below zero", () => {
  assert.deepEqual(controllersV2.memory(v2), {
    usage: 10_000n,
    workingSet: 0n,
    rss: 5000n,
    cache: 4000n,
    mappedFile: 600n,
    pageFaults: 55n,
    majorPageFaults: 11n,
    limit: undefined,
    swap: 70n,
    swapLimit: 140n,
  });
  assert.deepEqual(controllersV2.memoryDetail(v2), {
    peak: 20_000n,
    limitHits: 9n,
    oomKills: 2n,
    kernel: 800n,
    swapLimit: 140n,
    reservation: 4096n,
    ownPageFaults: 55n,
    ownMajorPageFaults: 11n,
  });
});

test("controllers v2: pids, huge pages, block devices", () => {
  assert.equal(controllersV2.tasks(v2), 12n);
  assert.equal(controllersV2.tasksMax(v2), 100n);
  assert.deepEqual(controllersV2.hugetlb(v2, ["2MB"]), [
    { pageSize: "2MB", usage: 2_097_152n, peak: undefined },
  ]);
  const { bytes, operations } = controllersV2.io(v2);
  assert.deepEqual(
    bytes.map(({ operation, value }) => [operation, value]),
    [
      ["Read", 4096n],
      ["Write", 0n],
      ["Discard", 0n],
    ],
  );
  assert.equal(operations.find(({ operation }) => operation === "Read")?.value, 2n);
});

test("controllers: a cgroup that is gone has no numbers", () => {
  const gone = reading({});
  for (const controllers of [controllersV1, controllersV2]) {
    assert.equal(controllers.cpuNanoseconds(gone), undefined);
    assert.equal(controllers.memory(gone), undefined);
    assert.equal(controllers.tasks(gone), undefined);
    assert.deepEqual(controllers.io(gone), { bytes: [], operations: [] });
    assert.ok(Object.values(controllers.cpuDetail(gone)).every((value) => value === undefined));
    assert.ok(Object.values(controllers.memoryDetail(gone)).every((value) => value === undefined));
  }
});
