import type { Hierarchies } from "../../program/cgroup/index.ts";
import { folderOf, hierarchyOf, readCounter, readValue, unifiedOf } from "../../program/cgroup/index.ts";
import type { FoundContainer } from "./status.ts";

const nanosecondsInMicrosecond = 1000;
/** What v1 says for no limit, and above. */
const noLimit = 2 ** 62;

/** A container's use of what cgroups count, in the shape of `runc events --stats`. */
export function readStats({ record, hierarchies }: FoundContainer): object {
  const stats = { record, hierarchies };
  return { cpu: cpuOf(stats), memory: memoryOf(stats), pids: pidsOf(stats), blkio: {}, hugetlb: {} };
}

interface Place {
  readonly record: { readonly cgroup: string };
  readonly hierarchies: Hierarchies;
}

/** The folder of a controller, and the version that it is of. */
function folder(
  { record, hierarchies }: Place,
  controller: string,
): { path: string; version: 1 | 2 } | undefined {
  const hierarchy = hierarchyOf(hierarchies, controller) ?? unifiedOf(hierarchies);
  if (hierarchy === undefined) return undefined;
  return { path: folderOf(hierarchy, record.cgroup), version: hierarchy.version };
}

function cpuOf(place: Place): object {
  const accounting = folder(place, "cpuacct");
  const cpu = folder(place, "cpu");
  if (accounting?.version === 1) {
    return {
      usage: {
        total: number(accounting.path, "cpuacct.usage"),
        user: number(accounting.path, "cpuacct.usage_user"),
        kernel: number(accounting.path, "cpuacct.usage_sys"),
        percpu: numbers(readValue(accounting.path, "cpuacct.usage_percpu")),
      },
      throttling: {
        periods: readCounter(cpu?.path ?? "", "cpu.stat", "nr_periods"),
        throttledPeriods: readCounter(cpu?.path ?? "", "cpu.stat", "nr_throttled"),
        throttledTime: readCounter(cpu?.path ?? "", "cpu.stat", "throttled_time"),
      },
    };
  }
  const nanoseconds = (key: string): number =>
    (readCounter(cpu?.path ?? "", "cpu.stat", key) ?? 0) * nanosecondsInMicrosecond;
  return {
    usage: {
      total: nanoseconds("usage_usec"),
      user: nanoseconds("user_usec"),
      kernel: nanoseconds("system_usec"),
    },
    throttling: {
      periods: readCounter(cpu?.path ?? "", "cpu.stat", "nr_periods"),
      throttledPeriods: readCounter(cpu?.path ?? "", "cpu.stat", "nr_throttled"),
      throttledTime: nanoseconds("throttled_usec"),
    },
  };
}

function memoryOf(place: Place): object {
  const memory = folder(place, "memory");
  if (memory === undefined) return {};
  const { path, version } = memory;
  const raw = counters(readValue(path, "memory.stat") ?? "");
  if (version === 1) {
    return {
      cache: raw.cache,
      usage: entry(path, "memory"),
      swap: entry(path, "memory.memsw"),
      kernel: entry(path, "memory.kmem"),
      kernelTCP: entry(path, "memory.kmem.tcp"),
      raw,
    };
  }
  return {
    cache: raw.file,
    usage: { limit: number(path, "memory.max"), usage: number(path, "memory.current"), failcnt: 0 },
    swap: { limit: number(path, "memory.swap.max"), usage: number(path, "memory.swap.current"), failcnt: 0 },
    raw,
  };
}

function entry(path: string, prefix: string): object {
  return {
    limit: number(path, `${prefix}.limit_in_bytes`),
    usage: number(path, `${prefix}.usage_in_bytes`),
    max: number(path, `${prefix}.max_usage_in_bytes`),
    failcnt: number(path, `${prefix}.failcnt`) ?? 0,
  };
}

function pidsOf(place: Place): object {
  const pids = folder(place, "pids");
  if (pids === undefined) return {};
  return { current: number(pids.path, "pids.current"), limit: number(pids.path, "pids.max") };
}

/** Undefined where there is no such file, or no limit. */
function number(path: string, file: string): number | undefined {
  const value = tonumber(readValue(path, file));
  return value === undefined || value >= noLimit ? undefined : value;
}

function numbers(text = ""): number[] {
  const all: number[] = [];
  for (const [digits] of string.gmatch(text, "%d+")) all.push(tonumber(digits) ?? 0);
  return all;
}

function counters(text: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [key, digits] of string.gmatch(text, "(%S+) (%d+)")) {
    if (key !== undefined) found[key] = tonumber(digits) ?? 0;
  }
  return found;
}
