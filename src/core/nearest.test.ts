import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./nearest.ts";

for (const [word, expected] of [
  ["imgaes", "images"],
  ["imag", "images"],
  ["pz", "ps"],
  ["completely", undefined],
  ["x", undefined],
  ["", undefined],
] as const) {
  test(`nearest: ${JSON.stringify(word)} probably means ${expected ?? "nothing known"}`, () => {
    assert.equal(nearest(word, ["images", "ps", "version"]), expected);
  });
}
