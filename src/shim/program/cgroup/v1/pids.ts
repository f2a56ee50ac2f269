import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, pushNumber } from "../setting.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/pids.html */
export function pidsV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  pushNumber(settings, "pids.max", resources.pids?.limit, "pids.limit", "max");
  return settings;
}
