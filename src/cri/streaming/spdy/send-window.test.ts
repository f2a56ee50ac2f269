import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { WindowPolicy } from "./send-window.ts";

test("send window: does not count for a client that never gives one", async () => {
  const window = new WindowPolicy().create();
  for (let index = 0; index < 100; index++) assert.equal(await window.take(64 * 1024), 64 * 1024);
});

test("send window: once it counts, what was sent before is taken off", async () => {
  const policy = new WindowPolicy();
  const window = policy.create();
  assert.equal(await window.take(60 * 1024), 60 * 1024);
  policy.begin();
  assert.equal(await window.take(60 * 1024), 4 * 1024);
  let taken = 0;
  const waiting = window.take(60 * 1024).then((bytes) => {
    taken = bytes;
  });
  await turn();
  assert.equal(taken, 0);
  window.widen(1_000);
  await waiting;
  assert.equal(taken, 1_000);
});

test("send window: the initial size changes open streams, below zero too", async () => {
  const policy = new WindowPolicy();
  const window = policy.create();
  policy.setInitial(10);
  assert.equal(await window.take(100), 10);
  policy.setInitial(5);
  const waiting = window.take(100);
  window.widen(6);
  assert.equal(await waiting, 1);
  assert.equal(await policy.create().take(100), 5);
});

test("send window: the stream's end lets the waiting one go", async () => {
  const policy = new WindowPolicy();
  const window = policy.create();
  policy.setInitial(0);
  const waiting = window.take(7);
  window.open();
  assert.equal(await waiting, 7);
});

test("send window: more than the protocol can tell is refused", () => {
  const window = new WindowPolicy().create();
  assert.equal(window.widen(1), true);
  assert.equal(window.widen(2 ** 31 - 1), false);
});
