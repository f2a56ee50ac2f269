import { asRuntimeError, RuntimeError } from "../core/errors.ts";

/** Waits for all; then throws what failed, as one error that says everything, with the first one's code. */
export async function collectFailures(works: readonly Promise<unknown>[]): Promise<void> {
  const outcomes = await Promise.allSettled(works);
  const failures = outcomes
    .filter((outcome) => outcome.status === "rejected")
    .map((outcome) => asRuntimeError(outcome.reason));
  const [first] = failures;
  if (first === undefined) return;
  if (failures.length === 1) throw first;
  throw new RuntimeError(first.code, failures.map((failure) => failure.message).join("; "), {
    cause: new AggregateError(failures),
  });
}
