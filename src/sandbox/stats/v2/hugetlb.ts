import { numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { HugetlbUsage } from "../numbers.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#hugetlb-interface-files */
export function hugetlbV2(read: ReadFile, pageSizes: readonly string[]): readonly HugetlbUsage[] {
  return pageSizes.flatMap((pageSize) => {
    const usage = numberIn(read("unified", `hugetlb.${pageSize}.current`));
    return usage === undefined ? [] : [{ pageSize, usage, peak: undefined }];
  });
}
