import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../failure.ts";
import { type DevicePolicy, devicePolicy } from "./devices.ts";
import { type Hierarchies, type Hierarchy, hierarchyOf, isPureV2, unifiedOf } from "./hierarchies.ts";
import { rdma } from "./rdma.ts";
import type { ReadCurrent, Setting } from "./setting.ts";
import { blkioV1 } from "./v1/blkio.ts";
import { cpuV1 } from "./v1/cpu.ts";
import { cpusetV1 } from "./v1/cpuset.ts";
import { devicesV1 } from "./v1/devices.ts";
import { hugetlbV1 } from "./v1/hugetlb.ts";
import { memoryV1 } from "./v1/memory.ts";
import { netClsV1, netPrioV1 } from "./v1/network.ts";
import { pidsV1 } from "./v1/pids.ts";
import { cpuV2 } from "./v2/cpu.ts";
import { cpusetV2 } from "./v2/cpuset.ts";
import { hugetlbV2 } from "./v2/hugetlb.ts";
import { ioV2 } from "./v2/io.ts";
import { memoryV2 } from "./v2/memory.ts";
import { pidsV2 } from "./v2/pids.ts";
import { unifiedV2 } from "./v2/unified.ts";

type Settings = (resources: SpecResources, read: ReadCurrent) => Setting[];

/** One controller in both versions; an absent side does not exist in that version. */
interface Controller {
  readonly v1?: { readonly name: string; readonly settings: Settings };
  readonly v2?: { readonly name: string; readonly settings: Settings };
}

const controllers: readonly Controller[] = [
  { v1: { name: "cpuset", settings: cpusetV1 }, v2: { name: "cpuset", settings: cpusetV2 } },
  { v1: { name: "cpu", settings: cpuV1 }, v2: { name: "cpu", settings: cpuV2 } },
  { v1: { name: "memory", settings: memoryV1 }, v2: { name: "memory", settings: memoryV2 } },
  { v1: { name: "pids", settings: pidsV1 }, v2: { name: "pids", settings: pidsV2 } },
  { v1: { name: "blkio", settings: blkioV1 }, v2: { name: "io", settings: ioV2 } },
  { v1: { name: "hugetlb", settings: hugetlbV1 }, v2: { name: "hugetlb", settings: hugetlbV2 } },
  { v1: { name: "rdma", settings: rdma }, v2: { name: "rdma", settings: rdma } },
  { v1: { name: "net_cls", settings: netClsV1 } },
  { v1: { name: "net_prio", settings: netPrioV1 } },
];

/** What is to be written into one hierarchy. */
export interface HierarchyPlan {
  readonly hierarchy: Hierarchy;
  readonly settings: readonly Setting[];
}

/** Everything that `linux.resources` comes to on this host. */
export interface ResourcePlan {
  readonly writes: readonly HierarchyPlan[];
  /** Where the v2 hierarchy guards the devices, which it does by a program and no file. */
  readonly devices?: DevicePolicy;
  readonly warnings: readonly string[];
}

/**
 * Turns limits into files and values; nothing is written, so an error leaves no trace. Throws `failed-precondition`
 * where a limit was asked for whose controller the host lacks, `invalid-argument` for values without meaning. `read`
 * gives what a hierarchy's file holds now.
 */
export function planResources(
  resources: SpecResources,
  hierarchies: Hierarchies,
  read: (hierarchy: Hierarchy, file: string) => string | undefined,
): ResourcePlan {
  const writes: HierarchyPlan[] = [];
  const warnings: string[] = [];
  for (const controller of controllers) {
    const plan = planController(controller, resources, hierarchies, read, warnings);
    if (plan !== undefined && plan.settings.length > 0) writes.push(plan);
  }
  const devices = planDevices(resources, hierarchies, writes);
  planUnified(resources, hierarchies, writes);
  return devices === undefined ? { writes, warnings } : { writes, warnings, devices };
}

function planController(
  { v1, v2 }: Controller,
  resources: SpecResources,
  hierarchies: Hierarchies,
  read: (hierarchy: Hierarchy, file: string) => string | undefined,
  warnings: string[],
): HierarchyPlan | undefined {
  const old = v1 === undefined ? undefined : hierarchyOf(hierarchies, v1.name);
  if (v1 !== undefined && old?.version === 1) {
    return { hierarchy: old, settings: v1.settings(resources, (file) => read(old, file)) };
  }
  const unified = v2 === undefined ? undefined : hierarchyOf(hierarchies, v2.name);
  if (v2 !== undefined && unified?.version === 2) {
    return { hierarchy: unified, settings: v2.settings(resources, (file) => read(unified, file)) };
  }
  const wanted = (v1 ?? v2)?.settings(resources, () => undefined) ?? [];
  const firm = wanted.find((setting) => setting.lenient !== true) ?? wanted[0];
  if (firm === undefined) return undefined;
  const problem = `linux.resources.${firm.field}: this host has no cgroup controller ${(v1 ?? v2)?.name ?? ""}`;
  if (firm.lenient !== true) throw failure("failed-precondition", problem);
  warnings.push(problem);
  return undefined;
}

function planDevices(
  resources: SpecResources,
  hierarchies: Hierarchies,
  writes: HierarchyPlan[],
): DevicePolicy | undefined {
  if (resources.devices === undefined || resources.devices.length === 0) return undefined;
  const hierarchy = hierarchyOf(hierarchies, "devices");
  if (hierarchy !== undefined) {
    writes.push({ hierarchy, settings: devicesV1(resources) });
    return undefined;
  }
  if (unifiedOf(hierarchies) === undefined) {
    throw failure(
      "failed-precondition",
      "linux.resources.devices: this host has no cgroup controller for devices",
    );
  }
  return devicePolicy(resources.devices);
}

function planUnified(resources: SpecResources, hierarchies: Hierarchies, writes: HierarchyPlan[]): void {
  const settings = unifiedV2(resources);
  const hierarchy = unifiedOf(hierarchies);
  if (settings.length === 0) return;
  if (hierarchy === undefined || !isPureV2(hierarchies)) {
    throw failure("failed-precondition", "linux.resources.unified: this host's cgroups are not unified (v2)");
  }
  writes.push({ hierarchy, settings });
}
