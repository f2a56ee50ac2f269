import type { LinuxResources } from "../../core/linux-resources.ts";
import type { LinuxContainerResources } from "../types/runtime/v1/LinuxContainerResources.ts";
import type { LinuxContainerResources__Output } from "../types/runtime/v1/LinuxContainerResources.ts";
import { invalid, withinRange } from "./fields.ts";

const maxInt64 = 2n ** 63n - 1n;
const maxUint64 = 2n ** 64n - 1n;

/** Reads resources: in the CRI a 0 or an empty text is "not set". */
export function resourcesFromProto(
  field: string,
  proto: LinuxContainerResources__Output | null,
): LinuxResources {
  if (proto === null) return {};
  const set = (name: string, value: string, least: bigint): bigint | undefined => {
    const number = withinRange(`${field}.${name}`, value, least, maxInt64);
    return number === 0n ? undefined : number;
  };
  const oomScoreAdj = Number(proto.oom_score_adj);
  if (oomScoreAdj < -1000 || oomScoreAdj > 1000) {
    invalid(`${field}.oom_score_adj`, `${proto.oom_score_adj} is not within -1000 to 1000`);
  }
  return dropUndefined({
    cpuPeriodUs: set("cpu_period", proto.cpu_period, 0n),
    cpuQuotaUs: set("cpu_quota", proto.cpu_quota, -1n),
    cpuShares: set("cpu_shares", proto.cpu_shares, 0n),
    memoryLimitBytes: set("memory_limit_in_bytes", proto.memory_limit_in_bytes, 0n),
    memorySwapLimitBytes: set("memory_swap_limit_in_bytes", proto.memory_swap_limit_in_bytes, -1n),
    oomScoreAdj,
    cpusetCpus: cpuset(`${field}.cpuset_cpus`, proto.cpuset_cpus),
    cpusetMems: cpuset(`${field}.cpuset_mems`, proto.cpuset_mems),
    hugepageLimits:
      proto.hugepage_limits.length === 0
        ? undefined
        : proto.hugepage_limits.map((limit, index) => ({
            pageSize: pageSize(`${field}.hugepage_limits[${index}].page_size`, limit.page_size),
            limitBytes: withinRange(`${field}.hugepage_limits[${index}].limit`, limit.limit, 0n, maxUint64),
          })),
    unified: Object.keys(proto.unified).length === 0 ? undefined : unified(`${field}.unified`, proto.unified),
  });
}

/** Reads a change of resources: unlike at creation a 0 in oom_score_adj is "not set", since the kernel's stays. */
export function resourceChangeFromProto(
  field: string,
  proto: LinuxContainerResources__Output,
): LinuxResources {
  const { oomScoreAdj, ...change } = resourcesFromProto(field, proto);
  return oomScoreAdj === undefined || oomScoreAdj === 0 ? change : { ...change, oomScoreAdj };
}

/** Writes resources as ContainerStatus shows them. */
export function resourcesToProto(resources: LinuxResources): LinuxContainerResources {
  return {
    cpu_period: String(resources.cpuPeriodUs ?? 0n),
    cpu_quota: String(resources.cpuQuotaUs ?? 0n),
    cpu_shares: String(resources.cpuShares ?? 0n),
    memory_limit_in_bytes: String(resources.memoryLimitBytes ?? 0n),
    memory_swap_limit_in_bytes: String(resources.memorySwapLimitBytes ?? 0n),
    oom_score_adj: String(resources.oomScoreAdj ?? 0),
    cpuset_cpus: resources.cpusetCpus ?? "",
    cpuset_mems: resources.cpusetMems ?? "",
    hugepage_limits: (resources.hugepageLimits ?? []).map(({ pageSize: size, limitBytes }) => ({
      page_size: size,
      limit: String(limitBytes),
    })),
    unified: { ...resources.unified },
  };
}

function cpuset(field: string, value: string): string | undefined {
  if (value === "") return undefined;
  return /^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(value) ? value : invalid(field, `not a cpuset list: ${value}`);
}

function pageSize(field: string, value: string): string {
  return /^\d+[KMG]B$/.test(value)
    ? value
    : invalid(field, `not a page size such as 2MB: ${JSON.stringify(value)}`);
}

/** A unified key is a file of the cgroup's folder: no slash, no dot-dot. */
function unified(field: string, values: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const key of Object.keys(values)) {
    if (!/^[a-z0-9_]+(\.[a-zA-Z0-9_]+)+$/.test(key))
      invalid(field, `not a cgroup file: ${JSON.stringify(key)}`);
  }
  return { ...values };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function dropUndefined<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as Present<T>;
}
