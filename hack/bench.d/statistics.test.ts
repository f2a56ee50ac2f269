import assert from "node:assert/strict";
import { test } from "node:test";
import { summarize } from "./statistics.ts";

const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);

const cases = [
  { what: "one sample", samples: [7], expected: { count: 1, median: 7, p99: 7 } },
  { what: "an even number", samples: [4, 1, 3, 2], expected: { count: 4, median: 2.5, p99: 4 } },
  { what: "an odd number, not in order", samples: [9, 10, 1], expected: { count: 3, median: 9, p99: 10 } },
  { what: "a hundred", samples: hundred, expected: { count: 100, median: 50.5, p99: 99 } },
];

for (const { what, samples, expected } of cases) {
  test(`summarize: ${what}`, () => {
    assert.deepEqual(summarize(samples), expected);
  });
}

test("summarize: nothing", () => {
  assert.equal(summarize([]), undefined);
});
