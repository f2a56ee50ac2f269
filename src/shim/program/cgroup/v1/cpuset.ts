import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, pushText } from "../setting.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/cpusets.html */
export function cpusetV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  pushText(settings, "cpuset.cpus", resources.cpu?.cpus, "cpu.cpus");
  pushText(settings, "cpuset.mems", resources.cpu?.mems, "cpu.mems");
  return settings;
}
