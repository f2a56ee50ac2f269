import { rows } from "./rows.ts";
import type { Runtime } from "./runtime.ts";

/** What was measured of one runtime: row name to samples. A runtime that failed a step has a failure and takes no further part. */
export class Samples {
  readonly runtime: Runtime;
  readonly #values = new Map<string, number[]>();
  #failure: string | undefined;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** Why the runtime takes no further part. */
  get failure(): string | undefined {
    return this.#failure;
  }

  add(row: string, value: number): void {
    const values = this.#values.get(row) ?? [];
    this.#values.set(row, [...values, value]);
  }

  of(row: string): readonly number[] {
    return this.#values.get(row) ?? [];
  }

  /** Notes a failed step and forgets the phase's samples: they are no figures. */
  fail(phase: string, error: unknown): void {
    this.#failure = `${phase}: ${error instanceof Error ? error.message : String(error)}`;
    for (const row of rows) if (row.phase === phase) this.#values.delete(row.name);
  }
}

/** Runs a step for every runtime that has not failed, one after another, another one first each time. */
export async function inTurn(
  all: readonly Samples[],
  phase: string,
  turn: number,
  signal: AbortSignal,
  step: (samples: Samples) => Promise<void>,
): Promise<void> {
  const first = turn % all.length;
  for (const samples of [...all.slice(first), ...all.slice(0, first)]) {
    if (samples.failure !== undefined) continue;
    signal.throwIfAborted();
    try {
      await step(samples);
    } catch (error) {
      // What fails as the run is cut off is nobody's failure.
      signal.throwIfAborted();
      samples.fail(phase, error);
    }
  }
}
