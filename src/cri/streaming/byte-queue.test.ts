import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteQueue } from "./byte-queue.ts";

async function readAll(queue: ByteQueue): Promise<string> {
  let text = "";
  for await (const bytes of queue) text += bytes.toString();
  return text;
}

test("byte queue: what was pushed before the end is read", async () => {
  const queue = new ByteQueue(1_000);
  queue.push(Buffer.from("one "));
  const reading = readAll(queue);
  queue.push(Buffer.from("two"));
  queue.push(Buffer.alloc(0));
  queue.end();
  queue.push(Buffer.from("late"));
  assert.equal(await reading, "one two");
});

test("byte queue: one-byte pieces count for what they hold", () => {
  const queue = new ByteQueue(1_000);
  for (let index = 0; index < 8; index++) queue.push(Buffer.of(index));
  assert.equal(queue.isFull, true);
});

test("byte queue: room comes when the reader takes what is held", async () => {
  const credits: number[] = [];
  const queue = new ByteQueue(100, (bytes) => credits.push(bytes));
  queue.push(Buffer.alloc(200));
  queue.push(Buffer.alloc(50));
  let hasRoom = false;
  const room = queue.room().then(() => {
    hasRoom = true;
  });
  const reader = queue[Symbol.asyncIterator]();
  await reader.next();
  assert.equal(hasRoom, false);
  await reader.next();
  await room;
  assert.deepEqual(credits, [200, 50]);
});

test("byte queue: discarding gives room, ends the reader and credits what it drops", async () => {
  let credited = 0;
  const queue = new ByteQueue(100, (bytes) => {
    credited += bytes;
  });
  queue.push(Buffer.alloc(200));
  const room = queue.room();
  queue.discard();
  await room;
  queue.push(Buffer.alloc(10));
  assert.equal(credited, 210);
  assert.equal(await readAll(queue), "");
});

test("byte queue: a reader that waits sees the end", async () => {
  const queue = new ByteQueue(100);
  const reading = readAll(queue);
  await Promise.resolve();
  queue.end();
  assert.equal(await reading, "");
});

test("byte queue: what comes after a reader left is dropped", async () => {
  const queue = new ByteQueue(100);
  queue.push(Buffer.alloc(200));
  for await (const bytes of queue) {
    assert.equal(bytes.length, 200);
    break;
  }
  queue.push(Buffer.alloc(200));
  assert.equal(queue.isFull, false);
});
