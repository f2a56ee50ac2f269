import type { Images } from "../../sandbox/index.ts";
import { invalid, requiredText } from "../convert/fields.ts";
import { authFromProto } from "../convert/image.ts";
import type { SearchRegistryRequest__Output } from "../types/berth/v1/SearchRegistryRequest.ts";
import type { SearchRegistryResponse } from "../types/berth/v1/SearchRegistryResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Entries that are listed where the request names no number. */
const defaultLimit = 100;

/** Lists repositories of a registry, or the tags of one. */
export function searchRegistry(
  images: Images,
): UnaryHandler<SearchRegistryRequest__Output, SearchRegistryResponse> {
  return async (request, { signal }) => {
    if (request.limit < 0) invalid("limit", `${request.limit} is negative`);
    const auth = authFromProto(request.auth);
    const { entries, more } = await images.search({
      query: requiredText("query", request.query),
      wanted: request.tags ? "tags" : "repositories",
      limit: request.limit === 0 ? defaultLimit : request.limit,
      ...(auth && { auth }),
      signal,
    });
    return { entries: [...entries], more };
  };
}
