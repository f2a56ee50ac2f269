import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../../core/digest.ts";
import { openBlobReader } from "./blob-reader.ts";

const bytes = Buffer.from("0123456789abcdef");

function open(sizeBytes = bytes.length) {
  const opened: number[] = [];
  const reader = openBlobReader({
    digest: parseDigest(`sha256:${"0".repeat(64)}`),
    sizeBytes,
    read: async function* (offset) {
      opened.push(offset);
      for (let at = offset; at < bytes.length; at += 3) {
        yield await Promise.resolve(bytes.subarray(at, Math.min(at + 3, bytes.length)));
      }
    },
  });
  const take = async (offset: number, size: number): Promise<string> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of reader.take(offset, size)) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };
  return { reader, opened, take };
}

test("blob reader: parts in a row are one reading, whatever the pieces", async () => {
  const { opened, take } = open();
  assert.equal(await take(0, 4), "0123");
  assert.equal(await take(4, 1), "4");
  assert.equal(await take(5, 11), "56789abcdef");
  assert.deepEqual(opened, [0]);
});

test("blob reader: a part out of order, or after one that was given up, opens it anew", async () => {
  const { reader, opened, take } = open();
  assert.equal(await take(8, 2), "89");
  assert.equal(await take(2, 2), "23");
  for await (const piece of reader.take(4, 8)) {
    assert.equal(piece.length > 0, true);
    break;
  }
  assert.equal(await take(4, 8), "456789ab");
  assert.deepEqual(opened, [8, 2, 4]);
  await reader[Symbol.asyncDispose]();
});

test("blob reader: a blob that is shorter than it should be is named", async () => {
  const { take } = open(20);
  await assert.rejects(take(10, 10), {
    code: "failed-precondition",
    message: /^sha256:0+ ends after 16 of 20 bytes$/,
  });
});
