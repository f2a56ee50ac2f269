import { RuntimeError } from "../core/errors.ts";

/** Does each piece of work after the one before, whether that failed or not; all failures come as one error. */
export async function inTurn(works: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const work of works) {
    try {
      await work();
    } catch (error) {
      failures.push(error);
    }
  }
  const [first] = failures;
  if (failures.length === 0) return;
  if (failures.length === 1 && first instanceof RuntimeError) throw first;
  const texts = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)));
  throw new RuntimeError("internal", texts.join("; "), { cause: first });
}
