/** Seconds for all targets together; longer by hand. */
export const budgetSeconds = Number(process.env["BERTH_FUZZ_SECONDS"] ?? 30);

/** Where to begin: another one each day, that of a failure by hand. */
export const firstSeed = Number(
  process.env["BERTH_FUZZ_SEED"] ?? (Math.floor(Date.now() / 86_400_000) % 1000) * 1_000_000,
);

/** With a seed of its own it is that one input. */
export const inputs = process.env["BERTH_FUZZ_SEED"] === undefined ? Number.MAX_SAFE_INTEGER : 1;

/** How to see a failure again. */
export function repeat(seed: number): string {
  return `again with BERTH_FUZZ_SEED=${seed}`;
}
