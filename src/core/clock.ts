/** Nanoseconds since the epoch; replaced in tests. */
export type Clock = () => bigint;

/** The wall clock, rounded down to the millisecond, so that it is never ahead of a shim's own reading. */
export const systemClock: Clock = () => BigInt(Date.now()) * 1_000_000n;
