import { strict as assert } from "node:assert";
import { test } from "node:test";
import { byteRange } from "./byte-range.ts";

const cases = [
  { header: undefined, expected: undefined },
  { header: "bytes=0-", expected: { start: 0, end: 99 } },
  { header: "bytes=10-19", expected: { start: 10, end: 19 } },
  { header: "bytes=10-500", expected: { start: 10, end: 99 } },
  { header: "bytes=-5", expected: { start: 95, end: 99 } },
  { header: "bytes=-500", expected: { start: 0, end: 99 } },
  { header: "bytes=99-", expected: { start: 99, end: 99 } },
  { header: "bytes=100-", expected: "unsatisfiable" },
  { header: "bytes=20-10", expected: "unsatisfiable" },
  { header: "bytes=-", expected: undefined },
  { header: "bytes=0-1,4-5", expected: undefined },
  { header: "lines=0-1", expected: undefined },
] as const;

for (const { header, expected } of cases)
  test(`of 100 bytes, ${header ?? "no range"}`, () => {
    assert.deepEqual(byteRange(header, 100), expected);
  });
