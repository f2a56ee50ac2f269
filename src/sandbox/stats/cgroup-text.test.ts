import assert from "node:assert/strict";
import { test } from "node:test";
import { blkioIn, ioStatIn, keyed, limitIn, numberIn, pressureIn } from "./cgroup-text.ts";

test("cgroup text: numbers and limits", () => {
  const table: readonly (readonly [string | undefined, bigint | undefined, bigint | undefined])[] = [
    ["4096\n", 4096n, 4096n],
    ["0\n", 0n, 0n],
    ["18446744073709551615\n", 18446744073709551615n, undefined],
    // v1 without a limit: the largest number of pages.
    ["9223372036854771712\n", 9223372036854771712n, undefined],
    ["-1\n", undefined, undefined],
    ["max\n", undefined, undefined],
    ["\n", undefined, undefined],
    [undefined, undefined, undefined],
  ];
  for (const [text, number, limit] of table) {
    assert.equal(numberIn(text), number, String(text));
    assert.equal(limitIn(text), limit, String(text));
  }
});

test("cgroup text: keys are found whole, wherever they stand", () => {
  const text = "rss 1\ntotal_rss 22\ncache 333\nbad x\nlast 4444";
  assert.deepEqual(keyed(text, ["rss", "total_rss", "cache", "last", "bad", "ss", "none"]), {
    rss: 1n,
    total_rss: 22n,
    cache: 333n,
    last: 4444n,
  });
  assert.deepEqual(keyed(undefined, ["rss"]), {});
});

test("cgroup text: pressure with and without its second line", () => {
  const some = "some avg10=1.50 avg60=0.25 avg300=0.00 total=123456789012\n";
  const line = { avg10: 1.5, avg60: 0.25, avg300: 0, totalMicroseconds: 123456789012n };
  assert.deepEqual(pressureIn(some), { some: line });
  const full = pressureIn(`${some}full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n`);
  assert.deepEqual(full?.some, line);
  assert.equal(full.full?.totalMicroseconds, 7n);
  assert.equal(pressureIn("Operation not supported"), undefined);
  assert.equal(pressureIn(undefined), undefined);
});

test("cgroup text: block devices of v1 and v2", () => {
  const v1 = "8:0 Read 4096\n8:0 Write 0\n253:16 Discard 9\n8:0 Total 4096\nTotal 4105\n";
  assert.deepEqual(blkioIn(v1), [
    { major: 8, minor: 0, operation: "Read", value: 4096n },
    { major: 8, minor: 0, operation: "Write", value: 0n },
    { major: 253, minor: 16, operation: "Discard", value: 9n },
  ]);
  const v2 = "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n8:16 \n";
  assert.deepEqual(ioStatIn(v2, { rbytes: "Read", wbytes: "Write" }), [
    { major: 8, minor: 0, operation: "Read", value: 1n },
    { major: 8, minor: 0, operation: "Write", value: 2n },
  ]);
  assert.deepEqual([...blkioIn(undefined), ...ioStatIn(undefined, {})], []);
});
