import { workerData } from "node:worker_threads";
import { RuntimeError } from "../../src/core/errors.ts";
import { Random } from "./mutate.ts";
import { targets } from "./targets.ts";

/** What a worker is told. */
export interface Work {
  readonly target: string;
  readonly seed: number;
  /** How many inputs at most. */
  readonly count: number;
  readonly milliseconds: number;
  /** The seed at work, for who waits outside. */
  readonly at: Int32Array;
}

const { target, seed, count, milliseconds, at } = workerData as Work;
const { make, run } = (await targets[target]?.()) ?? {};
if (make === undefined || run === undefined) throw new Error(`no target ${target}`);
const end = performance.now() + milliseconds;
for (let done = 0; done < count && performance.now() < end; done++) {
  Atomics.store(at, 0, seed + done);
  const input = make(new Random(seed + done));
  try {
    await run(input);
  } catch (thrown) {
    if (!(thrown instanceof RuntimeError)) {
      const shown = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      throw new Error(`input ${input.toString("base64")}: ${shown}`, { cause: thrown });
    }
  }
  Atomics.add(at, 1, 1);
}
// Live servers would keep it from ending.
process.exit(0);
