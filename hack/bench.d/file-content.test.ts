import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { fileContent } from "./file-content.ts";

test("content is the same wherever it is made, and another with another seed", () => {
  const digest = (seed: number): string =>
    createHash("sha256").update(fileContent(seed)(100_000)).digest("hex").slice(0, 16);
  assert.equal(digest(7), "f38ba4f635087e20");
  assert.notEqual(digest(8), digest(7));
});

test("content compresses as an image's does", () => {
  const content = fileContent(1)(4_000_000);
  const ratio = content.length / gzipSync(content).length;
  assert.ok(ratio > 2.3 && ratio < 3.2, `gzip made it ${ratio.toFixed(2)} times smaller`);
});

test("sizes are exact, also beyond the store", () => {
  const content = fileContent(1);
  for (const size of [0, 1, 5000, 20_000_000]) assert.equal(content(size).length, size);
});
