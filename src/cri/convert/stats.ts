import type {
  ContainerFilter,
  ContainerStats,
  LayerUsage,
  PodFilter,
  PodStats,
} from "../../sandbox/index.ts";
import type { CgroupUsage, InterfaceUsage, NetworkUsage, Pressure } from "../../sandbox/index.ts";
import type { ContainerStats as ContainerStatsProto } from "../types/runtime/v1/ContainerStats.ts";
import type { ContainerStatsFilter__Output } from "../types/runtime/v1/ContainerStatsFilter.ts";
import type { CpuUsage } from "../types/runtime/v1/CpuUsage.ts";
import type { FilesystemUsage } from "../types/runtime/v1/FilesystemUsage.ts";
import type { IoUsage } from "../types/runtime/v1/IoUsage.ts";
import type { MemoryUsage } from "../types/runtime/v1/MemoryUsage.ts";
import type { NetworkInterfaceUsage } from "../types/runtime/v1/NetworkInterfaceUsage.ts";
import type { NetworkUsage as NetworkUsageProto } from "../types/runtime/v1/NetworkUsage.ts";
import type { PodSandboxStats } from "../types/runtime/v1/PodSandboxStats.ts";
import type { PodSandboxStatsFilter__Output } from "../types/runtime/v1/PodSandboxStatsFilter.ts";
import type { PsiData } from "../types/runtime/v1/PsiData.ts";
import type { PsiStats } from "../types/runtime/v1/PsiStats.ts";
import type { SwapUsage } from "../types/runtime/v1/SwapUsage.ts";
import type { UInt64Value } from "../types/runtime/v1/UInt64Value.ts";

/** Reads a filter on containers to measure; an absent one selects all. */
export function containerStatsFilterFromProto(proto: ContainerStatsFilter__Output | null): ContainerFilter {
  if (proto === null) return { id: "", podId: "", labels: {} };
  return { id: proto.id, podId: proto.pod_sandbox_id, labels: proto.label_selector };
}

/** Reads a filter on pods to measure; an absent one selects all. */
export function podStatsFilterFromProto(proto: PodSandboxStatsFilter__Output | null): PodFilter {
  return proto === null ? { id: "", labels: {} } : { id: proto.id, labels: proto.label_selector };
}

/** What a container uses. `mountpoint` is a folder on the file system that writable layers lie on. */
export function containerStatsToProto(
  { container, usage, cpuRate, writableLayer }: ContainerStats,
  mountpoint: string,
): ContainerStatsProto {
  const { metadata, labels, annotations } = container.config;
  return {
    attributes: { id: container.id, metadata, labels, annotations },
    cpu: cpuToProto(usage, cpuRate),
    memory: memoryToProto(usage),
    writable_layer: layerToProto(writableLayer, mountpoint),
    swap: swapToProto(usage),
    io: ioToProto(usage),
  };
}

/** What a pod uses. */
export function podStatsToProto(
  { pod, usage, cpuRate, network, containers }: PodStats,
  mountpoint: string,
): PodSandboxStats {
  const { metadata, labels, annotations } = pod.config;
  return {
    attributes: { id: pod.id, metadata, labels, annotations },
    linux: {
      cpu: cpuToProto(usage, cpuRate),
      memory: memoryToProto(usage),
      network: network === undefined ? null : networkToProto(network),
      // Tasks of the pod's cgroup, as containerd and CRI-O report them: it is task ids that run out.
      process:
        usage?.tasks === undefined
          ? null
          : { timestamp: String(usage.at), process_count: { value: String(usage.tasks) } },
      containers: containers.map((one) => containerStatsToProto(one, mountpoint)),
      io: ioToProto(usage),
    },
  };
}

/** What a layer, or all of them, takes of the file system at a folder. */
export function layerToProto(layer: LayerUsage, mountpoint: string): FilesystemUsage {
  return {
    timestamp: String(layer.at),
    fs_id: { mountpoint },
    used_bytes: { value: String(layer.usedBytes) },
    inodes_used: { value: String(layer.inodes) },
  };
}

function cpuToProto(usage: CgroupUsage | undefined, rate: bigint | undefined): CpuUsage | null {
  if (usage?.cpuNanoseconds === undefined) return null;
  return {
    timestamp: String(usage.at),
    usage_core_nano_seconds: { value: String(usage.cpuNanoseconds) },
    usage_nano_cores: wrap(rate),
    psi: pressureToProto(usage.pressure.cpu),
  };
}

function memoryToProto(usage: CgroupUsage | undefined): MemoryUsage | null {
  if (usage?.memory === undefined) return null;
  const { memory, pressure, at } = usage;
  return {
    timestamp: String(at),
    working_set_bytes: wrap(memory.workingSet),
    available_bytes: wrap(left(memory.limit, memory.workingSet)),
    usage_bytes: wrap(memory.usage),
    rss_bytes: wrap(memory.rss),
    page_faults: wrap(memory.pageFaults),
    major_page_faults: wrap(memory.majorPageFaults),
    psi: pressureToProto(pressure.memory),
  };
}

function swapToProto(usage: CgroupUsage | undefined): SwapUsage | null {
  if (usage?.memory?.swap === undefined) return null;
  const { swap, swapLimit } = usage.memory;
  return {
    timestamp: String(usage.at),
    swap_available_bytes: wrap(left(swapLimit, swap)),
    swap_usage_bytes: wrap(swap),
  };
}

function ioToProto(usage: CgroupUsage | undefined): IoUsage | null {
  if (usage?.pressure.io === undefined) return null;
  return { timestamp: String(usage.at), psi: pressureToProto(usage.pressure.io) };
}

function networkToProto({ at, main, others }: NetworkUsage): NetworkUsageProto {
  return {
    timestamp: String(at),
    default_interface: main === undefined ? null : interfaceToProto(main),
    interfaces: others.map(interfaceToProto),
  };
}

function interfaceToProto(one: InterfaceUsage): NetworkInterfaceUsage {
  return {
    name: one.name,
    rx_bytes: wrap(one.rxBytes),
    rx_errors: wrap(one.rxErrors),
    tx_bytes: wrap(one.txBytes),
    tx_errors: wrap(one.txErrors),
  };
}

/** The contract counts PSI totals in nanoseconds, the kernel in microseconds; containerd 2.3 converts them too. */
const nanosecondsPerMicrosecond = 1000n;

function pressureToProto(pressure: Pressure | undefined): PsiStats | null {
  if (pressure === undefined) return null;
  const line = (found: Pressure["some"]): PsiData | null =>
    found === undefined
      ? null
      : {
          Total: String(found.totalMicroseconds * nanosecondsPerMicrosecond),
          Avg10: found.avg10,
          Avg60: found.avg60,
          Avg300: found.avg300,
        };
  return { Full: line(pressure.full), Some: line(pressure.some) };
}

/** What a limit leaves; undefined where there is none. */
function left(limit: bigint | undefined, used: bigint): bigint | undefined {
  if (limit === undefined) return undefined;
  return limit > used ? limit - used : 0n;
}

function wrap(value: bigint | undefined): UInt64Value | null {
  return value === undefined ? null : { value: String(value) };
}
