import assert from "node:assert/strict";
import { test } from "node:test";
import { allEnded } from "./all-ended.ts";

test("allEnded: results in their order", async () => {
  assert.deepEqual(await allEnded([Promise.resolve(1), "two", undefined]), [1, "two", undefined]);
});

test("allEnded: a failure is thrown when all the rest has ended too", async () => {
  const slow = Promise.withResolvers<string>();
  let ended = false;
  const all = allEnded([Promise.reject(new Error("early")), slow.promise.finally(() => (ended = true))]);
  setImmediate(() => {
    assert.equal(ended, false);
    slow.resolve("late");
  });
  await assert.rejects(all, /early/);
  assert.equal(ended, true);
});
