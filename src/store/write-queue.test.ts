import assert from "node:assert/strict";
import { test } from "node:test";
import type { Batch } from "./database.ts";
import { WriteQueue } from "./write-queue.ts";

const put = (key: string): Batch => [{ type: "put", key, value: key }];

/** Notes what is issued, such as `a b sync`; batches of the key `bad` fail. */
function recordingQueue(): { readonly queue: WriteQueue; readonly issued: string[] } {
  const issued: string[] = [];
  const queue = new WriteQueue(async (batch, sync) => {
    const keys = batch.map(({ key }) => key);
    issued.push(`${keys.join(" ")}${sync ? " sync" : ""}`);
    await new Promise(setImmediate);
    if (keys.includes("bad")) throw new Error(`no place for ${keys.join(" ")}`);
  });
  return { queue, issued };
}

test("write queue: one batch in flight, begun at once; what comes meanwhile is the next, synced where one asks", async () => {
  const { queue, issued } = recordingQueue();
  const writes = [queue.write(put("a"), false)];
  assert.deepEqual(issued, ["a"]);
  writes.push(queue.write(put("b"), false), queue.write(put("c"), true), queue.write(put("b"), false));
  assert.deepEqual(issued, ["a"]);
  await Promise.all(writes);
  assert.deepEqual(issued, ["a", "b c b sync"]);
  const later = queue.write(put("d"), false);
  assert.deepEqual(issued, ["a", "b c b sync", "d"]);
  await later;
});

test("write queue: a failure is its caller's alone, and keeps the order", async () => {
  const { queue, issued } = recordingQueue();
  const writes = ["a", "b", "bad", "c"].map((key) => queue.write(put(key), key === "c"));
  while (issued.length < 2) await new Promise(setImmediate);
  const late = queue.write(put("d"), false);
  const ends = await Promise.allSettled([...writes, late]);
  assert.deepEqual(
    ends.map((end) => (end.status === "rejected" ? String(end.reason) : "written")),
    ["written", "written", "Error: no place for bad", "written", "written"],
  );
  assert.deepEqual(issued, ["a", "b bad c sync", "b", "bad", "c sync", "d"]);
});

test("write queue: idle once everything that waited is settled", async () => {
  const { queue, issued } = recordingQueue();
  const bad = assert.rejects(queue.write(put("bad"), false));
  const good = queue.write(put("good"), false);
  await queue.idle();
  assert.deepEqual(issued, ["bad", "good"]);
  await Promise.all([bad, good]);
  await queue.idle();
});
