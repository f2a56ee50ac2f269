import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { failure } from "../../failure.ts";
import type { Setting } from "../setting.ts";

/** Files of the cgroup by name; the core's own (`cgroup.*`) move and kill processes and are no limits. */
export function unifiedV2(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  const unified = resources.unified ?? {};
  for (const file in unified) {
    const plain = file.includes(".") && !file.includes("/") && !file.startsWith("cgroup.");
    if (!plain)
      throw failure("invalid-argument", `linux.resources.unified: ${file} is no file of a controller`);
    settings.push({ file, value: unified[file] ?? "", field: `unified ${file}` });
  }
  return settings;
}
