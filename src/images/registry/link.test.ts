import assert from "node:assert/strict";
import { test } from "node:test";
import { nextPage } from "./link.ts";

const from = new URL("https://registry.example/v2/_catalog?n=2");

for (const [header, expected] of [
  [undefined, undefined],
  ["", undefined],
  ['</v2/_catalog?last=b&n=2>; rel="next"', "https://registry.example/v2/_catalog?last=b&n=2"],
  ["<?last=b>;rel=next", "https://registry.example/v2/_catalog?last=b"],
  ['<https://registry.example/x>; title="a, b"; REL="prev next"', "https://registry.example/x"],
  ['</a>; rel="prev", </b>; rel="next"', "https://registry.example/b"],
  [['</a>; rel="prev"', '</b>; rel="next"'], "https://registry.example/b"],
  ['</a>; rel="nextish"', undefined],
  ['</a>; rel="prev"', undefined],
  ['<http://[>; rel="next"', undefined],
  ["<".repeat(100_000), undefined],
] as const) {
  test(`link: ${String(header).slice(0, 80)}`, () => {
    assert.equal(
      nextPage(header === undefined ? header : (header as string | string[]), from)?.href,
      expected,
    );
  });
}
