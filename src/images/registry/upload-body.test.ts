import assert from "node:assert/strict";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { sendWatched, UploadStall } from "./upload-body.ts";

const limits = { stallTimeoutMs: 50, answerTimeoutMs: 100 };
const { signal } = new AbortController();
const piece = Buffer.alloc(200_000, 1);
const body = {
  sizeBytes: piece.length,
  open: async function* () {
    yield await Promise.resolve(piece);
  },
};

/** A server: reads as much as it likes, then waits for the end. */
const server =
  (reads: (stream: Readable) => Promise<unknown>) =>
  async (stream: Readable, watched: AbortSignal): Promise<never> => {
    stream.on("error", () => undefined);
    await reads(stream);
    if (!watched.aborted) await once(watched, "abort");
    throw watched.reason as Error;
  };

test("upload body: one that is not read ends with a stall", async () => {
  const reads = (stream: Readable): Promise<unknown> => once(stream, "readable");
  await assert.rejects(sendWatched(body, limits, signal, server(reads)), (thrown) => {
    assert.ok(thrown instanceof UploadStall);
    assert.equal(thrown.message, "it took no byte for 0.05 s");
    return true;
  });
});

test("upload body: no answer to all of it ends with a stall", async () => {
  const reads = (stream: Readable): Promise<unknown> => stream.toArray();
  await assert.rejects(sendWatched(body, limits, signal, server(reads)), {
    message: "it did not answer for 0.1 s",
  });
});

test("upload body: the source's own time does not count, its failure is what is thrown", async () => {
  const slow = {
    sizeBytes: 10,
    open: async function* () {
      yield Buffer.alloc(5);
      await new Promise((resolve) => setTimeout(resolve, 4 * limits.answerTimeoutMs));
      yield Buffer.alloc(5);
    },
  };
  const pieces = await sendWatched(slow, limits, signal, (stream) => stream.toArray());
  assert.equal(Buffer.concat(pieces as Buffer[]).length, 10);
  const broken = {
    sizeBytes: 10,
    open: async function* () {
      yield Buffer.alloc(5);
      await Promise.reject(new Error("the source broke"));
    },
  };
  const send = sendWatched(broken, limits, signal, async (stream) => {
    try {
      await stream.toArray();
    } catch {
      throw new Error("the connection broke");
    }
  });
  await assert.rejects(send, { message: "the source broke" });
});
