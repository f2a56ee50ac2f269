import assert from "node:assert/strict";
import { test } from "node:test";
import { createLimiter, createMutex } from "./limiter.ts";

test("limiter: lets so many in, in order, and forgets who gave up", async () => {
  const limiter = createLimiter(2);
  const { signal } = new AbortController();
  const releases = [await limiter.acquire("a", signal), await limiter.acquire("a", signal)];
  (await limiter.acquire("b", signal))();
  const impatient = new AbortController();
  const order: string[] = [];
  const third = limiter.acquire("a", impatient.signal).then(() => order.push("third"));
  const fourth = limiter.acquire("a", signal).then((release) => {
    order.push("fourth");
    return release;
  });
  impatient.abort(new Error("no patience"));
  await assert.rejects(third, /no patience/);
  releases[0]?.();
  (await fourth)();
  releases[1]?.();
  assert.deepEqual(order, ["fourth"]);
  await assert.rejects(limiter.acquire("a", impatient.signal), /no patience/);
});

test("mutex: one after the other, a failure stops none", async () => {
  const exclusive = createMutex();
  const order: number[] = [];
  const first = exclusive(async () => {
    await new Promise(setImmediate);
    order.push(1);
    throw new Error("first");
  });
  const second = exclusive(() => Promise.resolve(order.push(2)));
  await assert.rejects(first, /first/);
  await second;
  assert.deepEqual(order, [1, 2]);
});
