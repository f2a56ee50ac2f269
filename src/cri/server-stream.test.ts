import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { RuntimeError } from "../core/errors.ts";
import { silentLogger } from "../core/logger.ts";
import { chunks, collect, maxBytesPerMessage, maxItemsPerMessage, serverStream } from "./server-stream.ts";

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);

test("server stream: parts hold at least one item and at most the limit, each item once", async () => {
  for (const [count, sizes] of [
    [0, []],
    [1, [1]],
    [maxItemsPerMessage, [maxItemsPerMessage]],
    [maxItemsPerMessage + 1, [maxItemsPerMessage, 1]],
    [2 * maxItemsPerMessage + 3, [maxItemsPerMessage, maxItemsPerMessage, 3]],
  ] as const) {
    const parts = await collect(chunks(numbers(count)));
    assert.deepEqual(
      parts.map((part) => part.length),
      sizes,
    );
    assert.deepEqual(parts.flat(), numbers(count));
  }
});

test("server stream: items with long texts make smaller parts, one beyond the limit is alone", async () => {
  const item = (bytes: number) => ({ labels: { [`k`]: ["é".repeat(bytes / 2)] } });
  const third = item(Math.floor(maxBytesPerMessage / 3));
  const sizes = async (items: readonly unknown[]): Promise<number[]> =>
    (await collect(chunks(items))).map((part) => part.length);
  assert.deepEqual(await sizes([third, third, third, third, third]), [2, 2, 1]);
  assert.deepEqual(await sizes([third, item(3 * maxBytesPerMessage), third]), [1, 1, 1]);
});

/** The server's side of a call whose client reads when it is told to. */
class FakeCall extends EventEmitter {
  readonly request = {};
  readonly written: number[][] = [];
  cancelled = false;
  ended = false;
  full = false;

  getDeadline(): number {
    return Infinity;
  }

  write(message: { readonly items: number[] }): boolean {
    this.written.push(message.items);
    return !this.full;
  }

  end(): void {
    this.ended = true;
  }

  cancel(): void {
    this.cancelled = true;
    this.emit("cancelled");
  }
}

function run(call: FakeCall, items: Iterable<number>): void {
  const serve = serverStream<object, number, { items: number[] }>(
    "StreamTest",
    silentLogger,
    () => items,
    (part) => ({ items: part }),
  );
  serve(call as unknown as ServerWritableStream<object, { items: number[] }>);
}

async function turns(): Promise<void> {
  for (let i = 0; i < 50; i++) await nextTurn();
}

test("server stream: waits for a slow client, asking for no more items meanwhile", async () => {
  let asked = 0;
  function* items(): Generator<number> {
    for (; asked < 3 * maxItemsPerMessage; asked++) yield asked;
  }
  const call = new FakeCall();
  call.full = true;
  run(call, items());
  await turns();
  assert.equal(call.written.length, 1);
  assert.ok(asked <= maxItemsPerMessage + 1, String(asked));
  call.full = false;
  call.emit("drain");
  await turns();
  assert.equal(call.written.length, 3);
  assert.equal(call.ended, true);
});

test("server stream: a client that goes away ends the walk through the items", async () => {
  let finished = false;
  function* items(): Generator<number> {
    try {
      yield* numbers(10 * maxItemsPerMessage);
    } finally {
      finished = true;
    }
  }
  const call = new FakeCall();
  call.full = true;
  run(call, items());
  await turns();
  call.cancel();
  await turns();
  assert.equal(finished, true);
  assert.equal(call.written.length, 1);
  assert.equal(call.ended, false);
  assert.equal(call.listenerCount("drain"), 0);
});

test("server stream: a failure is the call's status, and no end that says that the list is complete", async () => {
  // eslint-disable-next-line require-yield -- fails before there is anything to yield
  function* items(): Generator<number> {
    throw new RuntimeError("not-found", "image busybox not found");
  }
  const call = new FakeCall();
  const failed = new Promise<{ readonly code: number; readonly details: string }>((resolve) => {
    call.once("error", resolve);
  });
  run(call, items());
  const { code, details } = await failed;
  assert.deepEqual([code, details, call.ended], [5, "image busybox not found", false]);
});
