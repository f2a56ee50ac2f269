import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, limitText } from "../setting.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/hugetlb.html */
export function hugetlbV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    const field = `hugepageLimits ${pageSize}`;
    const value = limitText(limit, "-1", field);
    settings.push({ file: `hugetlb.${pageSize}.limit_in_bytes`, value, field, lenient: true });
    settings.push({ file: `hugetlb.${pageSize}.rsvd.limit_in_bytes`, value, field, lenient: true });
  }
  return settings;
}
