/** What is said of a row's samples. */
export interface Summary {
  readonly count: number;
  readonly median: number;
  /** The greatest sample where there are fewer than 100. */
  readonly p99: number;
}

/** Sums up samples; undefined where there are none. */
export function summarize(samples: readonly number[]): Summary | undefined {
  if (samples.length === 0) return undefined;
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? NaN;
  const middle = sorted.length / 2;
  const median = sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
  return { count: sorted.length, median, p99: at(Math.ceil(sorted.length * 0.99) - 1) };
}
