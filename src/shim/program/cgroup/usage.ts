import { failure } from "../failure.ts";

/** Refuses a memory limit below what is in use (`checkBeforeUpdate`): writing it would have something killed. */
export function checkUsage(limit: number | undefined, usage: string | undefined): void {
  if (limit === undefined || limit <= 0 || usage === undefined) return;
  const used = Number(usage);
  if (limit < used) {
    throw failure(
      "failed-precondition",
      `linux.resources.memory.limit: ${limit.toFixed(0)} is below the ${used.toFixed(0)} bytes in use`,
    );
  }
}
