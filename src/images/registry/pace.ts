/** A body that drips: slower than the least pace for the whole of a window. */
export class DripError extends Error {
  override readonly name = "DripError";
  readonly code = "BERTH_DRIP";
}

/** The least that counts as a download; slower ones hold a place of the registry's for ever. */
export interface Pace {
  readonly minBytes: number;
  /** Milliseconds of waiting for the server; what the reader takes for itself does not count. */
  readonly windowMs: number;
}

export const leastPace: Pace = { minBytes: 64 * 1024, windowMs: 300_000 };

/** Passes a body on; throws {@link DripError} where it brings less than the least pace. */
export async function* paced(
  body: AsyncIterable<Buffer>,
  { minBytes, windowMs }: Pace = leastPace,
): AsyncGenerator<Buffer> {
  let waitedMs = 0;
  let received = 0;
  let from = performance.now();
  for await (const chunk of body) {
    waitedMs += performance.now() - from;
    received += chunk.length;
    if (waitedMs > windowMs) {
      if (received < minBytes)
        throw new DripError(`only ${received} bytes in ${Math.round(waitedMs / 1000)} s`);
      waitedMs = 0;
      received = 0;
    }
    yield chunk;
    from = performance.now();
  }
}
