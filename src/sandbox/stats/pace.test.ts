import assert from "node:assert/strict";
import { test } from "node:test";
import { pauseBetween } from "./pace.ts";

test("pace: trees are walked apart, and the pauses of a round stay within 20 s", () => {
  for (const [trees, pauseMs] of [
    [0, 20],
    [1, 20],
    [1_000, 20],
    [5_000, 4],
  ] as const) {
    assert.equal(pauseBetween(trees), pauseMs);
  }
});
