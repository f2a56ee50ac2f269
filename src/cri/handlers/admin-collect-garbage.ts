import type { StoreCare } from "../../sandbox/index.ts";
import type { CollectGarbageRequest__Output } from "../types/berth/v1/CollectGarbageRequest.ts";
import type { CollectGarbageResponse } from "../types/berth/v1/CollectGarbageResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Removes images that nothing uses. */
export function collectGarbage(
  care: StoreCare,
): UnaryHandler<CollectGarbageRequest__Output, CollectGarbageResponse> {
  return async ({ all, dry_run }, { signal }) => {
    const { images, freedBytes } = await care.collectGarbage(
      all ? "all" : "untagged",
      dry_run ? "dry-run" : "remove",
      signal,
    );
    return { images: images.map(({ id, tags }) => ({ id, references: [...tags] })), freed_bytes: freedBytes };
  };
}
