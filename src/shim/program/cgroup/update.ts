import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { applyOrRestore } from "./apply.ts";
import { attachDevicePolicy } from "./device-attach.ts";
import { folderOf, readValue } from "./folder.ts";
import { type Hierarchies, unifiedOf } from "./hierarchies.ts";
import { planResources } from "./plan.ts";

/** Checks all of the new limits, then writes those that were given and keeps the others; returns warnings. */
export function updateCgroup(path: string, hierarchies: Hierarchies, resources: SpecResources): string[] {
  const plan = planResources(resources, hierarchies, (hierarchy, file) =>
    readValue(folderOf(hierarchy, path), file),
  );
  const warnings = [...plan.warnings];
  for (const { hierarchy, settings } of plan.writes) {
    applyOrRestore(folderOf(hierarchy, path), settings, warnings);
  }
  const unified = unifiedOf(hierarchies);
  if (plan.devices !== undefined && unified !== undefined) {
    attachDevicePolicy(folderOf(unified, path), plan.devices);
  }
  return warnings;
}
