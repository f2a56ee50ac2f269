import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { applySettings, currentSettings } from "./apply.ts";
import { attachDevicePolicy } from "./device-attach.ts";
import { folderOf, readValue } from "./folder.ts";
import { type Hierarchies, unifiedOf } from "./hierarchies.ts";
import { planResources } from "./plan.ts";
import type { Setting } from "./setting.ts";

/**
 * Checks all of the new limits, then writes those that were given and keeps the others; returns warnings. Where the
 * kernel refuses one, those that were written before it get their old values back.
 */
export function updateCgroup(path: string, hierarchies: Hierarchies, resources: SpecResources): string[] {
  const plan = planResources(resources, hierarchies, (hierarchy, file) =>
    readValue(folderOf(hierarchy, path), file),
  );
  const warnings = [...plan.warnings];
  const written: (readonly [folder: string, before: readonly Setting[]])[] = [];
  const [ok, problem] = pcall(() => {
    for (const { hierarchy, settings } of plan.writes) {
      const folder = folderOf(hierarchy, path);
      written.push([folder, currentSettings(folder, settings)]);
      applySettings(folder, settings, warnings);
    }
    const unified = unifiedOf(hierarchies);
    if (plan.devices !== undefined && unified !== undefined) {
      attachDevicePolicy(folderOf(unified, path), plan.devices);
    }
  });
  if (ok) return warnings;
  for (const [folder, before] of written) pcall(applySettings, folder, before, []);
  throw problem;
}
