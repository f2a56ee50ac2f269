import assert from "node:assert/strict";
import { test } from "node:test";
import { CpuRate } from "./cpu-rate.ts";

const second = 1_000_000_000n;

test("cpu rate: from one sample to the next", () => {
  const rate = new CpuRate();
  assert.equal(rate.next(0n, 5n * second), undefined);
  assert.equal(rate.next(10n * second, 10n * second), second / 2n);
  assert.equal(rate.next(12n * second, 16n * second), 3n * second);
});

test("cpu rate: a reader right after another gets the same rate and does not shorten the window", () => {
  const rate = new CpuRate();
  assert.equal(rate.next(0n, 0n), undefined);
  assert.equal(rate.next(1n, second), undefined);
  assert.equal(rate.next(2n * second, second), second / 2n);
  assert.equal(rate.next(2n * second + 1n, 9n * second), second / 2n);
  assert.equal(rate.next(4n * second, 3n * second), second);
});

test("cpu rate: nothing is said over a window that is too long, or of a counter that went back", () => {
  const rate = new CpuRate();
  rate.next(0n, 0n);
  assert.equal(rate.next(1000n * second, second), undefined);
  assert.equal(rate.next(1002n * second, 3n * second), second);
  assert.equal(rate.next(1004n * second, 0n), undefined);
  assert.equal(rate.next(1006n * second, 2n * second), second);
});
