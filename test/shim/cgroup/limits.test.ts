import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { SpecResources } from "../../../src/core/oci-runtime-spec.ts";
import { parentsOf, parseCgroupPath } from "../../../src/shim/program/cgroup/cgroup-path.ts";
import type { Hierarchies } from "../../../src/shim/program/cgroup/hierarchies.ts";
import { planResources } from "../../../src/shim/program/cgroup/plan.ts";
import { cpuWeightOfShares, ioWeightOfBlkio } from "../../../src/shim/program/cgroup/weights.ts";

const v1: Hierarchies = [
  "cpu",
  "cpuset",
  "memory",
  "devices",
  "pids",
  "blkio",
  "hugetlb",
  "net_cls",
  "net_prio",
].map((name) => ({ version: 1, mountPoint: `/sys/fs/cgroup/${name}`, controllers: [name] }));
const v2: Hierarchies = [
  {
    version: 2,
    mountPoint: "/sys/fs/cgroup",
    controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"],
  },
];
const hybrid: Hierarchies = [...v1, { version: 2, mountPoint: "/sys/fs/cgroup/unified", controllers: [] }];

type Current = Readonly<Record<string, string>>;

/** `file=value` for everything that would be written. */
function written(resources: SpecResources, hierarchies: Hierarchies, current: Current = {}): string[] {
  const plan = planResources(resources, hierarchies, (_hierarchy, file) => current[file]);
  return plan.writes.flatMap(({ settings }) => settings.map(({ file, value }) => `${file}=${value}`));
}

const mebibyte = 1024 * 1024;
/** What the kernel itself shows for "no limit": as a double it is 2^63. */
const pageCounterMax = 9223372036854771712;

const cases: readonly {
  readonly name: string;
  readonly resources: SpecResources;
  readonly v1: readonly string[];
  readonly v2: readonly string[];
}[] = [
  { name: "nothing", resources: {}, v1: [], v2: [] },
  {
    name: "zeros of the older fields say not set",
    resources: { cpu: { shares: 0, quota: 0, period: 0 }, memory: { limit: 0, swap: 0 }, pids: { limit: 0 } },
    v1: [],
    v2: [],
  },
  {
    name: "cpu",
    resources: { cpu: { shares: 1024, quota: 50_000, period: 100_000, burst: 1000 } },
    v1: ["cpu.shares=1024", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000", "cpu.cfs_burst_us=1000"],
    v2: ["cpu.weight=100", "cpu.max=50000 100000", "cpu.max.burst=1000"],
  },
  {
    name: "unlimited quota, idle",
    resources: { cpu: { quota: -1, period: 100_000, idle: 1 } },
    v1: ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=-1", "cpu.idle=1"],
    v2: ["cpu.idle=1", "cpu.max=max 100000"],
  },
  {
    name: "cpuset",
    resources: { cpu: { cpus: "0-1,7", mems: "0" } },
    v1: ["cpuset.cpus=0-1,7", "cpuset.mems=0"],
    v2: ["cpuset.cpus=0-1,7", "cpuset.mems=0"],
  },
  {
    name: "memory, no swap",
    resources: { memory: { limit: 64 * mebibyte, swap: 64 * mebibyte, reservation: mebibyte } },
    v1: [
      "memory.limit_in_bytes=67108864",
      "memory.memsw.limit_in_bytes=67108864",
      "memory.soft_limit_in_bytes=1048576",
    ],
    v2: ["memory.max=67108864", "memory.swap.max=0", "memory.low=1048576"],
  },
  {
    name: "memory, unlimited in three spellings",
    resources: { memory: { limit: -1, swap: pageCounterMax, reservation: 2 ** 64 } },
    v1: ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1", "memory.soft_limit_in_bytes=-1"],
    v2: ["memory.max=max", "memory.swap.max=max", "memory.low=max"],
  },
  {
    name: "memory beyond 2^53 keeps all its digits",
    resources: { memory: { limit: 2 ** 60 } },
    v1: ["memory.limit_in_bytes=1152921504606846976"],
    v2: ["memory.max=1152921504606846976"],
  },
  { name: "pids", resources: { pids: { limit: 100 } }, v1: ["pids.max=100"], v2: ["pids.max=100"] },
  { name: "pids unlimited", resources: { pids: { limit: -1 } }, v1: ["pids.max=max"], v2: ["pids.max=max"] },
  {
    name: "huge pages",
    resources: { hugepageLimits: [{ pageSize: "2MB", limit: 4 * mebibyte }] },
    v1: ["hugetlb.2MB.limit_in_bytes=4194304", "hugetlb.2MB.rsvd.limit_in_bytes=4194304"],
    v2: ["hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304"],
  },
  {
    name: "block devices",
    resources: {
      blockIO: {
        weight: 500,
        throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1000 }],
        throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 7 }],
      },
    },
    v1: [
      "blkio.bfq.weight=500",
      "blkio.throttle.read_bps_device=8:0 1000",
      "blkio.throttle.write_iops_device=8:16 7",
    ],
    v2: ["io.weight=default 4950", "io.max=8:0 rbps=1000", "io.max=8:16 wiops=7"],
  },
];

await suite("cgroup limits", () => {
  for (const { name, resources, v1: old, v2: unified } of cases) {
    test(`limits: ${name}`, () => {
      assert.deepEqual(written(resources, v1), old);
      assert.deepEqual(written(resources, hybrid), old);
      assert.deepEqual(written(resources, v2), unified);
    });
  }

  const updates: readonly (readonly [name: string, SpecResources, Current, readonly string[]])[] = [
    [
      "a period keeps the quota",
      { cpu: { period: 50_000 } },
      { "cpu.max": "7000 100000" },
      ["cpu.max=7000 50000"],
    ],
    ["a quota keeps the period", { cpu: { quota: 9000 } }, { "cpu.max": "7000 50000" }, ["cpu.max=9000"]],
    [
      "swap counts from the limit in force",
      { memory: { swap: 300 } },
      { "memory.max": "100" },
      ["memory.swap.max=200"],
    ],
    [
      "BFQ takes v1's weights",
      { blockIO: { weight: 500 } },
      { "io.bfq.weight": "default 100" },
      ["io.bfq.weight=default 500"],
    ],
    ["unified", { unified: { "memory.oom.group": "1" } }, {}, ["memory.oom.group=1"]],
    [
      "v1-only settings with harmless values",
      { memory: { useHierarchy: true, disableOOMKiller: false } },
      {},
      [],
    ],
  ];
  for (const [name, resources, current, expected] of updates) {
    test(`limits on v2: ${name}`, () => {
      assert.deepEqual(written(resources, v2, current), expected);
    });
  }

  const noMemory = v1.filter(({ controllers }) => controllers[0] !== "memory");
  const noHugetlb = v1.filter(({ controllers }) => controllers[0] !== "hugetlb");
  const twoPages = [
    { pageSize: "1GB", limit: 0 },
    { pageSize: "2MB", limit: 1 },
  ];
  const refusals: readonly (readonly [SpecResources, Hierarchies, string, string, Current?])[] = [
    [
      { memory: { limit: 1 } },
      noMemory,
      "failed-precondition",
      "linux.resources.memory.limit: this host has no cgroup controller memory",
    ],
    [
      { cpu: { realtimeRuntime: 1 } },
      v2,
      "failed-precondition",
      "linux.resources.cpu.realtimeRuntime: cgroup v2 has no real-time limit",
    ],
    [
      { memory: { swappiness: 10 } },
      v2,
      "failed-precondition",
      "linux.resources.memory.swappiness: cgroup v2 has no such setting",
    ],
    [
      { memory: { kernel: 1 } },
      v1,
      "failed-precondition",
      "linux.resources.memory.kernel: the kernel has no such limit any more",
    ],
    [
      { memory: { limit: 1.5 } },
      v1,
      "invalid-argument",
      "linux.resources.memory.limit: 1.5 is no whole number",
    ],
    [
      { memory: { limit: 100, swap: 50 } },
      v2,
      "invalid-argument",
      "linux.resources.memory.swap: is below memory.limit, which it includes",
    ],
    [
      { memory: { swap: 50 } },
      v2,
      "invalid-argument",
      "linux.resources.memory.swap: a limit on swap needs one on memory",
    ],
    [
      { memory: { limit: 100, checkBeforeUpdate: true } },
      v2,
      "failed-precondition",
      "linux.resources.memory.limit: 100 is below the 4096 bytes in use",
      { "memory.current": "4096" },
    ],
    [
      { unified: { "memory.high": "1" } },
      hybrid,
      "failed-precondition",
      "linux.resources.unified: this host's cgroups are not unified (v2)",
    ],
    [
      { unified: { "cgroup.procs": "1" } },
      v2,
      "invalid-argument",
      "linux.resources.unified: cgroup.procs is no file of a controller",
    ],
    [
      { unified: { "../memory.max": "1" } },
      v2,
      "invalid-argument",
      "linux.resources.unified: ../memory.max is no file of a controller",
    ],
    [
      { network: { classID: 1 } },
      v2,
      "failed-precondition",
      "linux.resources.network.classID: this host has no cgroup controller net_cls",
    ],
    [
      { hugepageLimits: twoPages },
      noHugetlb,
      "failed-precondition",
      "linux.resources.hugepageLimits 2MB: this host has no cgroup controller hugetlb",
    ],
    [
      { devices: [{ allow: true, access: "x" }] },
      v1,
      "invalid-argument",
      'linux.resources.devices: access "x" is not of r, w and m',
    ],
  ];
  for (const [resources, hierarchies, code, message, current = {}] of refusals) {
    test(`limits: refused, ${message}`, () => {
      assert.throws(() => written(resources, hierarchies, current), { failure: true, code, message });
    });
  }

  test("limits: huge pages limited to none without their controller are a warning, as the kubelet always sends them", () => {
    const plan = planResources(
      { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] },
      noHugetlb,
      () => undefined,
    );
    assert.deepEqual(plan.writes, []);
    assert.deepEqual(plan.warnings, [
      "linux.resources.hugepageLimits 2MB: this host has no cgroup controller hugetlb",
    ]);
  });
});

await suite("cgroup weights", () => {
  test("weights: cpu.shares to cpu.weight through (2, 1), (1024, 100), (262144, 10000), never falling", () => {
    const pairs = [
      [1, 1],
      [2, 1],
      [102, 17],
      [256, 35],
      [512, 59],
      [1024, 100],
      [2048, 174],
      [262_144, 10_000],
      [1e9, 10_000],
    ] as const;
    for (const [shares, weight] of pairs) assert.equal(cpuWeightOfShares(shares), weight, `shares ${shares}`);
    for (let shares = 2; shares < 262_144; shares += 97) {
      assert.ok(cpuWeightOfShares(shares) <= cpuWeightOfShares(shares + 97));
    }
  });

  test("weights: blkio to io.weight between the ends", () => {
    assert.deepEqual([10, 500, 1000].map(ioWeightOfBlkio), [1, 4950, 10_000]);
  });
});

await suite("cgroup paths", () => {
  test("paths: absolute and plain ones are taken, their parents known", () => {
    assert.equal(parseCgroupPath("/kubepods/pod1/c"), "/kubepods/pod1/c");
    assert.deepEqual(parentsOf("/kubepods/pod1/c"), ["/kubepods", "/kubepods/pod1"]);
    assert.deepEqual(parentsOf("/c"), []);
  });
  for (const path of ["", "/", "c", "/a//b", "/a/", "/a/../b", "/./a", "/a\n"]) {
    test(`paths: ${JSON.stringify(path)} is refused`, () => {
      assert.throws(() => parseCgroupPath(path), { code: "invalid-argument" });
    });
  }
});
