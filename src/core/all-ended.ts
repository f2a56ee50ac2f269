/**
 * As Promise.all, but a failure is thrown only once everything has ended: whoever undoes it then undoes nothing that is
 * still being done.
 */
export async function allEnded<T extends readonly unknown[]>(
  work: readonly [...T],
): Promise<{ -readonly [Index in keyof T]: Awaited<T[Index]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
