import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, limitText } from "../setting.ts";

/**
 * The kubelet names every page size with a limit of 0, whether the host counts them or not: those are lenient.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v1/hugetlb.html
 */
export function hugetlbV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    const field = `hugepageLimits ${pageSize}`;
    const value = limitText(limit, "-1", field);
    const file = `hugetlb.${pageSize}.limit_in_bytes`;
    settings.push(limit === 0 ? { file, value, field, lenient: true } : { file, value, field });
    settings.push({ file: `hugetlb.${pageSize}.rsvd.limit_in_bytes`, value, field, lenient: true });
  }
  return settings;
}
