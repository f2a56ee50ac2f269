import { strict as assert } from "node:assert";
import { test } from "node:test";
import { bufferPassed } from "./young-buffers.ts";

test("buffers that have passed are freed long before V8 would", () => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let count = 0; count < 4000; count++) {
    const chunk = Buffer.from(new ArrayBuffer(64 * 1024));
    bufferPassed(chunk.length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  assert.ok(most < 24 * 1024 * 1024, `${most} bytes of 250 MB were held at a time`);
});
