import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type ReadCurrent, type Setting, integerText, limitText, pushNumber, refuse } from "../setting.ts";
import { checkUsage } from "../usage.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/memory.html */
export function memoryV1(resources: SpecResources, read: ReadCurrent): Setting[] {
  const settings: Setting[] = [];
  const { memory } = resources;
  if (memory === undefined) return settings;
  if (memory.kernel !== undefined && memory.kernel !== 0)
    refuse("memory.kernel", "the kernel has no such limit any more");
  if (memory.checkBeforeUpdate === true) checkUsage(memory.limit, read("memory.usage_in_bytes"));
  pushNumber(settings, "memory.limit_in_bytes", memory.limit, "memory.limit");
  if (memory.swap !== undefined && memory.swap !== 0) {
    const value = limitText(memory.swap, "-1", "memory.swap");
    settings.push({ file: "memory.memsw.limit_in_bytes", value, field: "memory.swap", lenient: true });
  }
  pushNumber(settings, "memory.soft_limit_in_bytes", memory.reservation, "memory.reservation");
  pushNumber(settings, "memory.kmem.tcp.limit_in_bytes", memory.kernelTCP, "memory.kernelTCP");
  if (memory.swappiness !== undefined) {
    const value = integerText(memory.swappiness, "memory.swappiness");
    settings.push({ file: "memory.swappiness", value, field: "memory.swappiness" });
  }
  if (memory.disableOOMKiller !== undefined) {
    const value = memory.disableOOMKiller ? "1" : "0";
    settings.push({ file: "memory.oom_control", value, field: "memory.disableOOMKiller" });
  }
  if (memory.useHierarchy === true) {
    settings.push({ file: "memory.use_hierarchy", value: "1", field: "memory.useHierarchy" });
  }
  return settings;
}
