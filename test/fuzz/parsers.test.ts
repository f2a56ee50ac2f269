import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { budgetSeconds, firstSeed, inputs, repeat } from "./budget.ts";
import { targets } from "./targets.ts";
import type { Work } from "./worker.ts";

/** Of the budget; the rest is for the parsers of the shim and the unpacker. */
const share = 0.6;

/** One input that takes longer hangs. */
const hangMs = 20_000;

/** JavaScript's memory of a worker, whatever it is given. */
const maxHeapMb = 128;

const names = Object.keys(targets);

for (const target of names) {
  test(`fuzz: ${target}: typed errors alone, no hang, bounded memory`, async (context) => {
    const at = new Int32Array(new SharedArrayBuffer(8));
    const work: Work = {
      target,
      seed: firstSeed,
      count: inputs,
      milliseconds: (budgetSeconds * share * 1000) / names.length,
      at,
    };
    const worker = new Worker(join(import.meta.dirname, "worker.ts"), {
      workerData: work,
      resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
    });
    const ended = once(worker, "exit").catch((thrown: unknown) => {
      throw new Error(`${repeat(at[0] ?? 0)}: ${String(thrown)}`, { cause: thrown });
    });
    try {
      await Promise.race([ended, watch(at)]);
    } finally {
      await worker.terminate();
    }
    context.diagnostic(`${Atomics.load(at, 1)} inputs from seed ${firstSeed}`);
    assert.ok(Atomics.load(at, 1) > 0);
  });
}

/** Ends, by throwing, when no input is done for too long. */
async function watch(at: Int32Array): Promise<never> {
  for (let before = -1; ; before = Atomics.load(at, 1)) {
    if (before === Atomics.load(at, 1)) throw new Error(`it hangs: ${repeat(Atomics.load(at, 0))}`);
    await sleep(hangMs, undefined, { ref: false });
  }
}
