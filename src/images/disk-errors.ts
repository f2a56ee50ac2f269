import { RuntimeError } from "../core/errors.ts";

/** Runs work on the store's disk; a full one becomes `resource-exhausted`, which names the root. */
export async function onDisk<T>(root: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw fullDisk(root, what, thrown) ?? thrown;
  }
}

/** The error for ENOSPC or EDQUOT anywhere in what was thrown; undefined for others. */
export function fullDisk(root: string, what: string, thrown: unknown): RuntimeError | undefined {
  if (thrown instanceof RuntimeError || !(thrown instanceof Error)) return undefined;
  const code = (thrown as NodeJS.ErrnoException).code;
  // LevelDB gives the C library's text alone.
  const full = code === "ENOSPC" || code === "EDQUOT" || /No space left on device/i.test(causes(thrown));
  if (!full) return undefined;
  return new RuntimeError("resource-exhausted", `${what}: no space left on ${root}`, { cause: thrown });
}

function causes(error: Error): string {
  return error.cause instanceof Error ? `${error.message} ${causes(error.cause)}` : error.message;
}
