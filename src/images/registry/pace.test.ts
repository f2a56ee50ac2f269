import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DripError, paced } from "./pace.ts";

async function* drip(bytes: number, everyMs: number, times: number): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < times; sent++) {
    await sleep(everyMs);
    yield Buffer.alloc(bytes);
  }
}

async function drain(body: AsyncIterable<Buffer>, pauseMs = 0): Promise<number> {
  let total = 0;
  for await (const chunk of body) {
    total += chunk.length;
    if (pauseMs > 0) await sleep(pauseMs);
  }
  return total;
}

test("pace: a body that drips is ended, with what it brought", async () => {
  await assert.rejects(
    drain(paced(drip(1, 10, 1000), { minBytes: 100, windowMs: 100 })),
    (thrown) => thrown instanceof DripError && /^only \d+ bytes in \d+ s$/.test(thrown.message),
  );
});

test("pace: a body that keeps the pace passes, also to a slow reader", async () => {
  assert.equal(await drain(paced(drip(100, 10, 30), { minBytes: 100, windowMs: 50 })), 3000);
  assert.equal(await drain(paced(drip(1, 0, 10), { minBytes: 100, windowMs: 100 }), 30), 10);
});
