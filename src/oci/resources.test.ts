import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, hasCode } from "../core/errors.ts";
import type { LinuxResources } from "../core/linux-resources.ts";
import { type CgroupFacts, oomScoreAdj, specResources } from "./resources.ts";

const v2: CgroupFacts = { version: 2, swap: true, hugetlb: true };
const GiB = 1_073_741_824;

test("resources: the CRI's words as the OCI's", () => {
  const table: readonly (readonly [string, LinuxResources, Partial<CgroupFacts>, object])[] = [
    ["nothing", {}, {}, {}],
    ["zeros are not set", { cpuShares: 0n, cpuQuotaUs: 0n, memoryLimitBytes: 0n, cpusetCpus: "" }, {}, {}],
    [
      "cpu",
      { cpuShares: 1024n, cpuQuotaUs: 50_000n, cpuPeriodUs: 100_000n, cpusetCpus: "0-2,7", cpusetMems: "0" },
      {},
      { cpu: { shares: 1024, quota: 50_000, period: 100_000, cpus: "0-2,7", mems: "0" } },
    ],
    ["no cpu limit", { cpuQuotaUs: -1n }, {}, { cpu: { quota: -1 } }],
    ["memory, no swap", { memoryLimitBytes: BigInt(GiB) }, {}, { memory: { limit: GiB, swap: GiB } }],
    [
      "memory and swap",
      { memoryLimitBytes: BigInt(GiB), memorySwapLimitBytes: BigInt(2 * GiB) },
      {},
      { memory: { limit: GiB, swap: 2 * GiB } },
    ],
    ["swap without end", { memorySwapLimitBytes: -1n }, {}, { memory: { swap: -1 } }],
    ["no swap controller", { memoryLimitBytes: BigInt(GiB) }, { swap: false }, { memory: { limit: GiB } }],
    [
      "huge pages",
      { hugepageLimits: [{ pageSize: "2MB", limitBytes: 0n }] },
      {},
      { hugepageLimits: [{ pageSize: "2MB", limit: 0 }] },
    ],
    [
      "huge pages of 0 without controller",
      { hugepageLimits: [{ pageSize: "2MB", limitBytes: 0n }] },
      { hugetlb: false },
      {},
    ],
    ["unified", { unified: { "memory.high": "1000" } }, {}, { unified: { "memory.high": "1000" } }],
  ];
  for (const [name, resources, facts, expected] of table) {
    assert.deepEqual(specResources(resources, { ...v2, ...facts }), expected, name);
  }
});

test("resources: out of range, malformed or beyond the host", () => {
  const table: readonly (readonly [LinuxResources, Partial<CgroupFacts>, ErrorCode, RegExp])[] = [
    [{ cpuShares: 1n }, {}, "invalid-argument", /cpu_shares 1 .*2 to 262144/],
    [{ cpuShares: 262_145n }, {}, "invalid-argument", /cpu_shares/],
    [{ cpuQuotaUs: -2n }, {}, "invalid-argument", /cpu_quota/],
    [{ cpuPeriodUs: 1_000_001n }, {}, "invalid-argument", /cpu_period/],
    [{ memoryLimitBytes: 2n ** 53n }, {}, "invalid-argument", /memory_limit_in_bytes 9007199254740992/],
    [
      { memoryLimitBytes: 2000n, memorySwapLimitBytes: 1000n },
      {},
      "invalid-argument",
      /memory_swap_limit_in_bytes/,
    ],
    [{ cpusetCpus: "0-" }, {}, "invalid-argument", /cpuset_cpus/],
    [{ cpusetMems: "0\n1" }, {}, "invalid-argument", /cpuset_mems/],
    [{ hugepageLimits: [{ pageSize: "../x", limitBytes: 1n }] }, {}, "invalid-argument", /page size/],
    [
      { hugepageLimits: [{ pageSize: "2MB", limitBytes: -1n }] },
      {},
      "invalid-argument",
      /hugepage_limits\[2MB\]/,
    ],
    [
      { hugepageLimits: [{ pageSize: "2MB", limitBytes: 1n }] },
      { hugetlb: false },
      "failed-precondition",
      /hugetlb/,
    ],
    [{ unified: { "memory.high": "1" } }, { version: 1 }, "failed-precondition", /cgroup v1/],
    [{ unified: { "../x.y": "1" } }, {}, "invalid-argument", /controller's file/],
    [{ unified: { "cgroup.procs": "1" } }, {}, "invalid-argument", /controller's file/],
  ];
  for (const [resources, facts, code, message] of table) {
    assert.throws(
      () => specResources(resources, { ...v2, ...facts }),
      (error) => hasCode(error, code) && message.test(error.message),
      String(message),
    );
  }
});

test("resources: oom_score_adj", () => {
  assert.deepEqual([{}, { oomScoreAdj: -997 }].map(oomScoreAdj), [0, -997]);
  for (const value of [-1001, 1001, 0.5])
    assert.throws(() => oomScoreAdj({ oomScoreAdj: value }), /oom_score_adj/);
});
