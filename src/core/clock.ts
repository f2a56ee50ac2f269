/** Nanoseconds since the epoch; replaced in tests. */
export type Clock = () => bigint;

/** The wall clock, rounded down to the millisecond, so that it is never ahead of a shim's own reading. */
export const systemClock: Clock = () => BigInt(Date.now()) * 1_000_000n;

/** A clock that never says the same twice: what was made in one millisecond keeps its order when sorted by time. */
export function increasing(clock: Clock): Clock {
  let last = 0n;
  return () => {
    const now = clock();
    last = now > last ? now : last + 1n;
    return last;
  };
}
