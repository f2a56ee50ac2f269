import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, limitText } from "../setting.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files */
export function hugetlbV2(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    const field = `hugepageLimits ${pageSize}`;
    const value = limitText(limit, "max", field);
    settings.push({ file: `hugetlb.${pageSize}.max`, value, field, lenient: true });
    settings.push({ file: `hugetlb.${pageSize}.rsvd.max`, value, field, lenient: true });
  }
  return settings;
}
