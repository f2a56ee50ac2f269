import assert from "node:assert/strict";
import { test } from "node:test";
import { increasing } from "./clock.ts";

test("clock: an increasing one never says the same twice, nor goes back", () => {
  const readings = [5n, 5n, 5n, 9n, 3n, 10n];
  const clock = increasing(() => readings.shift() ?? 0n);
  assert.deepEqual([clock(), clock(), clock(), clock(), clock(), clock()], [5n, 6n, 7n, 9n, 10n, 11n]);
});
