import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { NetworkGate } from "./network-gate.ts";

const never = new AbortController().signal;

/** Notes when a way in opens. */
function noting(way: Promise<Disposable>): { way: Promise<Disposable>; readonly isIn: boolean } {
  const state = { way, isIn: false };
  void way.then(() => (state.isIn = true)).catch(() => undefined);
  return state;
}

test("network gate: pods go in together, collection alone, others meanwhile to other networks", async () => {
  const gate = new NetworkGate();
  const first = await gate.enter(["a", "b"], never);
  const second = await gate.enter(["a"], never);
  const alone = noting(gate.enterAlone("a", never));
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  await turn();
  assert.equal(alone.isIn, false);
  // It waits, so that it keeps nobody out yet.
  const third = await gate.enter(["a"], never);
  second[Symbol.dispose]();
  third[Symbol.dispose]();
  await turn();
  assert.equal(alone.isIn, true);
  const fourth = noting(gate.enter(["a"], never));
  const another = noting(gate.enterAlone("a", never));
  (await gate.enter(["b"], never))[Symbol.dispose]();
  await turn();
  assert.deepEqual([fourth.isIn, another.isIn], [false, false]);
  (await alone.way)[Symbol.dispose]();
  await turn();
  assert.equal(fourth.isIn, true);
  (await fourth.way)[Symbol.dispose]();
  await turn();
  assert.equal(another.isIn, true);
});

test("network gate: who waits too long is told, and holds nothing", async () => {
  const gate = new NetworkGate();
  const inside = await gate.enter(["a"], never);
  const deadline = new AbortController();
  const alone = gate.enterAlone("a", deadline.signal);
  deadline.abort();
  await assert.rejects(
    alone,
    (error) => hasCode(error, "deadline-exceeded") && error.message.includes("network a"),
  );
  await assert.rejects(gate.enterAlone("a", deadline.signal), /network a/);
  inside[Symbol.dispose]();
  (await gate.enterAlone("a", never))[Symbol.dispose]();
});
