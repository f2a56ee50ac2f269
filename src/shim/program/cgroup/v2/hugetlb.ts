import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, limitText } from "../setting.ts";

/**
 * The kubelet names every page size with a limit of 0, whether the host counts them or not: those are lenient.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files
 */
export function hugetlbV2(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    const field = `hugepageLimits ${pageSize}`;
    const value = limitText(limit, "max", field);
    const file = `hugetlb.${pageSize}.max`;
    settings.push(limit === 0 ? { file, value, field, lenient: true } : { file, value, field });
    settings.push({ file: `hugetlb.${pageSize}.rsvd.max`, value, field, lenient: true });
  }
  return settings;
}
