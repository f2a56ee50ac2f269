import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, integerText, pushNumber } from "../setting.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/net_cls.html */
export function netClsV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  pushNumber(settings, "net_cls.classid", resources.network?.classID, "network.classID");
  return settings;
}

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/net_prio.html */
export function netPrioV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  for (const { name, priority } of resources.network?.priorities ?? []) {
    const value = `${name} ${integerText(priority, "network.priorities")}`;
    settings.push({ file: "net_prio.ifpriomap", value, field: "network.priorities" });
  }
  return settings;
}
