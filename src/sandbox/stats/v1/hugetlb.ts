import { numberIn } from "../cgroup-text.ts";
import type { ReadFile } from "../controllers.ts";
import type { HugetlbUsage } from "../numbers.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v1/hugetlb.html */
export function hugetlbV1(read: ReadFile, pageSizes: readonly string[]): readonly HugetlbUsage[] {
  return pageSizes.flatMap((pageSize) => {
    const usage = numberIn(read("hugetlb", `hugetlb.${pageSize}.usage_in_bytes`));
    const peak = numberIn(read("hugetlb", `hugetlb.${pageSize}.max_usage_in_bytes`));
    return usage === undefined ? [] : [{ pageSize, usage, peak }];
  });
}
