import { hasCode } from "../core/errors.ts";

/** Status calls under way at a time. */
const maxConcurrentCalls = 16;

/** Asks for the status of each item of a list, in its order; what has been removed since is left out. */
export async function statuses<Item, Status>(
  items: readonly Item[],
  ask: (item: Item) => Promise<Status | null>,
): Promise<Status[]> {
  const found: (Status | null)[] = [];
  for (let index = 0; index < items.length; index += maxConcurrentCalls) {
    const batch = items.slice(index, index + maxConcurrentCalls).map(async (item) => {
      try {
        return await ask(item);
      } catch (thrown) {
        if (hasCode(thrown, "not-found")) return null;
        throw thrown;
      }
    });
    found.push(...(await Promise.all(batch)));
  }
  return found.filter((status) => status !== null);
}
