import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { rfc3339 } from "../../../src/shim/program/log/timestamp.ts";

await suite("log timestamps", () => {
  const moments = [
    0, 1, 86_399, 86_400, 951_782_399, 951_782_400, 951_868_800, 1_078_012_800, 1_709_164_800, 1_735_689_599,
    1_763_730_000, 4_102_444_800, 13_569_465_600,
  ];
  for (const seconds of moments) {
    test(`timestamps: ${seconds} s`, () => {
      const expected = new Date(seconds * 1000).toISOString().replace(".000Z", ".000000042Z");
      assert.equal(rfc3339(seconds, 42), expected);
    });
  }

  test("timestamps: nine digits always", () => {
    assert.equal(rfc3339(0, 0), "1970-01-01T00:00:00.000000000Z");
    assert.equal(rfc3339(0, 999_999_999), "1970-01-01T00:00:00.999999999Z");
    assert.equal(rfc3339(0, 120_000_000), "1970-01-01T00:00:00.120000000Z");
  });
});
