import type { StoreCare } from "../../sandbox/index.ts";
import type { CheckStoreRequest__Output } from "../types/berth/v1/CheckStoreRequest.ts";
import type { CheckStoreResponse } from "../types/berth/v1/CheckStoreResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Verifies the store, and mends it where asked to. */
export function checkStore(care: StoreCare): UnaryHandler<CheckStoreRequest__Output, CheckStoreResponse> {
  return async ({ repair, content }, { signal }) => {
    const report = await care.check(repair ? "repair" : "report", content ? "content" : "metadata", signal);
    return {
      ...report,
      findings: report.findings.map(({ repair: outcome, images, ...finding }) => ({
        ...finding,
        images: [...images],
        repair: outcome.result,
        reason: outcome.result === "failed" ? outcome.reason : "",
      })),
    };
  };
}
