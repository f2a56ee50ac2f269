import assert from "node:assert/strict";
import { test } from "node:test";
import { age, duration, shortId, size, time } from "./format.ts";
import { fields, printable, table } from "./table.ts";

const now = 1_800_000_000_000;

for (const [secondsAgo, expected] of [
  [0, "0s"],
  [-5, "0s"],
  [119, "119s"],
  [120, "2m"],
  [7_199, "119m"],
  [7_200, "2h"],
  [172_799, "47h"],
  [172_800, "2d"],
  [86_400 * 400, "400d"],
] as const) {
  test(`format: ${secondsAgo} seconds ago is ${expected}`, () => {
    assert.equal(age(String(BigInt(now - secondsAgo * 1000) * 1_000_000n), now), expected);
  });
}

test("format: what has not happened has neither age nor time", () => {
  assert.deepEqual([age("0", now), time("0")], ["", ""]);
  assert.equal(time("1800000000123456789"), "2027-01-15T08:00:00.123Z");
});

for (const [nanoseconds, expected] of [
  [0n, "0.0 ms"],
  [1_234_567n, "1.2 ms"],
  [45_600_000n, "46 ms"],
  [1_250_000_000n, "1.3 s"],
  [250_000_000_000n, "4m10s"],
] as const) {
  test(`format: ${nanoseconds} ns take ${expected}`, () => {
    assert.equal(duration(nanoseconds), expected);
  });
}

for (const [bytes, expected] of [
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.00 kB"],
  [43_200_000, "43.2 MB"],
  [432_000_000, "432 MB"],
  [2e15, "2000 TB"],
] as const) {
  test(`format: ${bytes} bytes are ${expected}`, () => {
    assert.equal(size(bytes), expected);
  });
}

test("format: ids are cut, digests lose their algorithm first", () => {
  assert.equal(shortId(`sha256:${"ab".repeat(32)}`), "ababababababa");
});

test("table: columns are aligned, the empty are marked, nothing trails", () => {
  assert.equal(
    table(
      ["A", "NAME"],
      [
        ["longer", ""],
        ["b", "c"],
      ],
    ),
    "A        NAME\nlonger   -\nb        c",
  );
});

test("table: fields are aligned", () => {
  assert.equal(
    fields(
      [
        ["a", "1"],
        ["long", "2"],
      ],
      "  ",
    ),
    "  a     1\n  long  2",
  );
});

test("table: text from outside can't move the cursor", () => {
  assert.equal(printable("a\u001b[31mb\u009b\u007f\n"), "a\\x1b[31mb\\x9b\\x7f\\x0a");
});
