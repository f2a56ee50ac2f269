import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { KeyedQueue } from "./keyed-queue.ts";
import { RetryQueue } from "./retry.ts";

const far = AbortSignal.timeout(10_000);

test("keyed queue: the same key in order, failures included, other keys at once", async () => {
  const queue = new KeyedQueue();
  const order: string[] = [];
  const gate = Promise.withResolvers<undefined>();
  const first = queue.run("a", far, async () => {
    await gate.promise;
    order.push("a1");
    throw new Error("a1");
  });
  const second = queue.run("a", far, () => Promise.resolve(order.push("a2")));
  await queue.run("b", far, () => Promise.resolve(order.push("b")));
  gate.resolve(undefined);
  await assert.rejects(first, /a1/);
  await second;
  assert.deepEqual(order, ["b", "a1", "a2"]);
  await queue.idle();
});

test("keyed queue: the rest of a turn keeps the next one waiting", async () => {
  const queue = new KeyedQueue();
  const rest = Promise.withResolvers<undefined>();
  const order: string[] = [];
  await queue.runWithRest("a", far, () => Promise.resolve({ value: 1, rest: rest.promise }));
  const next = queue.run("a", far, () => Promise.resolve(order.push("next")));
  order.push("rest");
  rest.resolve(undefined);
  await next;
  assert.deepEqual(order, ["rest", "next"]);
});

test("keyed queue: who waits gives up at the deadline, and does nothing afterwards", async () => {
  const queue = new KeyedQueue();
  const gate = Promise.withResolvers<undefined>();
  const first = queue.run("pod", far, () => gate.promise);
  let ran = false;
  await assert.rejects(
    queue.run("pod", AbortSignal.timeout(10), () => Promise.resolve((ran = true))),
    (error) => hasCode(error, "deadline-exceeded") && error.message.startsWith("pod: "),
  );
  gate.resolve(undefined);
  await first;
  await queue.idle();
  assert.equal(ran, false);
});

test("retry queue: what fails is tried again, what was removed is not", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const tried: string[] = [];
  let isFailing = true;
  await using queue = new RetryQueue((key) => {
    tried.push(key);
    return isFailing ? Promise.reject(new Error("again")) : Promise.resolve();
  });
  const settle = (): Promise<unknown> => new Promise(setImmediate);
  queue.add("a");
  queue.add("a");
  queue.add("b");
  queue.remove("b");
  context.mock.timers.tick(1_000);
  await settle();
  assert.deepEqual(tried, ["a"]);
  context.mock.timers.tick(1_000);
  await settle();
  assert.deepEqual(tried, ["a"]);
  isFailing = false;
  context.mock.timers.tick(1_000);
  await settle();
  context.mock.timers.tick(600_000);
  await settle();
  assert.deepEqual(tried, ["a", "a"]);
});
