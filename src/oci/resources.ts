import { RuntimeError } from "../core/errors.ts";
import type { LinuxResources } from "../core/linux-resources.ts";
import type { SpecDeviceRule, SpecResources } from "../core/oci-runtime-spec.ts";

/** What the host's cgroups can do. */
export interface CgroupFacts {
  /** 1 also for the hybrid mount, whose controllers are v1's. */
  readonly version: 1 | 2;
  /** memory.swap.max or memory.memsw.limit_in_bytes exists. */
  readonly swap: boolean;
  readonly hugetlb: boolean;
}

/**
 * The CRI's resources as the OCI's. Absent and 0 are not set. A memory limit without a swap limit sets both alike, so that
 * a container does not swap unless asked. What is out of range, or needs what the host lacks, is an error that names the field.
 */
export function specResources(
  resources: LinuxResources,
  cgroups: CgroupFacts,
  devices?: readonly SpecDeviceRule[],
): SpecResources {
  const cpu = cpuResources(resources);
  const memory = memoryResources(resources, cgroups);
  const hugepageLimits = hugepages(resources, cgroups);
  const unified = unifiedResources(resources, cgroups);
  return {
    ...(devices === undefined ? {} : { devices }),
    ...(isEmpty(memory) ? {} : { memory }),
    ...(isEmpty(cpu) ? {} : { cpu }),
    ...(hugepageLimits.length === 0 ? {} : { hugepageLimits }),
    ...(isEmpty(unified) ? {} : { unified }),
  };
}

/** oom_score_adj as the kernel takes it: -1000 to 1000, else `invalid-argument`; absent is 0. */
export function oomScoreAdj(resources: LinuxResources): number {
  const value = resources.oomScoreAdj ?? 0;
  if (Number.isInteger(value) && value >= -1000 && value <= 1000) return value;
  throw outOfRange("oom_score_adj", value, "-1000 to 1000");
}

function cpuResources(resources: LinuxResources): NonNullable<SpecResources["cpu"]> {
  // The bounds are the kernel's: cfs_period_us 1 ms to 1 s, cfs_quota_us at least 1 ms, cpu.shares 2 to 262144.
  const shares = bounded("cpu_shares", resources.cpuShares, 2n, 262_144n);
  const quota = bounded("cpu_quota", resources.cpuQuotaUs, 1000n, safe, -1n);
  const period = bounded("cpu_period", resources.cpuPeriodUs, 1000n, 1_000_000n);
  const cpus = cpuset("cpuset_cpus", resources.cpusetCpus);
  const mems = cpuset("cpuset_mems", resources.cpusetMems);
  return {
    ...(shares === undefined ? {} : { shares }),
    ...(quota === undefined ? {} : { quota }),
    ...(period === undefined ? {} : { period }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(mems === undefined ? {} : { mems }),
  };
}

function memoryResources(
  resources: LinuxResources,
  cgroups: CgroupFacts,
): NonNullable<SpecResources["memory"]> {
  const limit = bounded("memory_limit_in_bytes", resources.memoryLimitBytes, 1n, safe, -1n);
  const asked = bounded("memory_swap_limit_in_bytes", resources.memorySwapLimitBytes, 1n, safe, -1n);
  if (asked !== undefined && asked !== -1 && limit !== undefined && asked < limit) {
    throw outOfRange("memory_swap_limit_in_bytes", asked, `at least memory_limit_in_bytes, ${limit}`);
  }
  // Without the swap controller nothing can be set; a limit on both together is then the one on memory.
  const swap = cgroups.swap ? (asked ?? limit) : undefined;
  return { ...(limit === undefined ? {} : { limit }), ...(swap === undefined ? {} : { swap }) };
}

function hugepages(
  resources: LinuxResources,
  cgroups: CgroupFacts,
): readonly { readonly pageSize: string; readonly limit: number }[] {
  const limits = (resources.hugepageLimits ?? []).map(({ pageSize, limitBytes }) => {
    if (!/^\d{1,6}[KMG]B$/.test(pageSize)) {
      throw new RuntimeError(
        "invalid-argument",
        `hugepage_limits: ${JSON.stringify(pageSize)} is not a page size`,
      );
    }
    return { pageSize, limit: inRange(`hugepage_limits[${pageSize}]`, limitBytes, 0n, safe) };
  });
  if (cgroups.hugetlb) return limits;
  // The kubelet sends a limit of 0 for every page size of the node: without the controller that is not a request.
  const wanted = limits.find(({ limit }) => limit > 0);
  if (wanted === undefined) return [];
  throw new RuntimeError(
    "failed-precondition",
    `hugepage_limits[${wanted.pageSize}]: the host has no hugetlb cgroup controller`,
  );
}

function unifiedResources(resources: LinuxResources, cgroups: CgroupFacts): Readonly<Record<string, string>> {
  const unified = resources.unified ?? {};
  for (const name of Object.keys(unified)) {
    if (cgroups.version === 1) {
      throw new RuntimeError(
        "failed-precondition",
        `unified[${JSON.stringify(name)}]: the host has cgroup v1`,
      );
    }
    // A name is a file of a controller: not a path, and not cgroup.procs or cgroup.subtree_control.
    if (!/^[a-z]+(\.[A-Za-z0-9_]+)+$/.test(name) || name.startsWith("cgroup.")) {
      throw new RuntimeError(
        "invalid-argument",
        `unified: ${JSON.stringify(name)} is not a controller's file`,
      );
    }
  }
  return unified;
}

function cpuset(field: string, text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (text.length <= maxCpusetChars && /^\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*$/.test(text)) return text;
  throw new RuntimeError(
    "invalid-argument",
    `${field}: ${JSON.stringify(text.slice(0, 100))} is not a list such as 0-2,7`,
  );
}

const maxCpusetChars = 4096;
const safe = BigInt(Number.MAX_SAFE_INTEGER);

/** 0 is not set, as on the wire; `unlimited` is a value outside the range that is taken too. */
function bounded(
  field: string,
  value: bigint | undefined,
  least: bigint,
  most: bigint,
  unlimited?: bigint,
): number | undefined {
  if (value === undefined || value === 0n) return undefined;
  return value === unlimited ? Number(value) : inRange(field, value, least, most);
}

function inRange(field: string, value: bigint, least: bigint, most: bigint): number {
  if (value >= least && value <= most) return Number(value);
  throw outOfRange(field, value, `${least} to ${most}`);
}

function outOfRange(field: string, value: bigint | number, range: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${field} ${value} is out of range: ${range}`);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
