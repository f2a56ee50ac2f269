import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type FakePeer, FakeShim, fakeIdentity, frameOf } from "../../../test/shim/support/fake-shim.ts";
import { maxFrameBytes } from "../protocol/frame.ts";
import type { ExitRecord } from "../protocol/messages.ts";
import { ShimConnection } from "./shim-connection.ts";

const record: ExitRecord = {
  exitCode: 3,
  signal: 0,
  oomKilled: false,
  startedAt: "1",
  finishedAt: "2",
  message: "",
};
const state = {
  id: "c",
  status: "running",
  pid: 5,
  pidStartTicks: 6,
  startedAt: "7",
  droppedLogLines: 0,
  droppedLogBytes: 0,
  warnings: {},
};

const connect = (shim: FakeShim, timeoutMs = 2000): Promise<ShimConnection> =>
  ShimConnection.connect(shim.path, fakeIdentity, { timeoutMs });

/** Answers every request with `ok`. */
async function answerAll(peer: FakePeer, ok: object): Promise<void> {
  await peer.greet();
  while (true) {
    const { seq } = await peer.message();
    peer.send({ seq, ok });
  }
}

const shortWait = { timeoutMs: 50 };

await suite("shim connection", () => {
  test("connection: hello says who we are, a request is answered", async () => {
    let hello: unknown;
    let request: unknown;
    await using shim = await FakeShim.start(async (peer) => {
      hello = await peer.greet();
      const message = await peer.message();
      request = message;
      peer.send({ seq: message.seq, ok: state });
    });
    const connection = await connect(shim);
    assert.deepEqual(await connection.state(), { ...state, warnings: [] });
    assert.deepEqual(hello, { type: "hello", protocol: 1, build: "fake-build", boot: "fake-boot" });
    assert.deepEqual(request, { type: "state", seq: 1 });
    connection.close();
  });

  test("connection: answers out of order, in pieces of one byte, find their requests", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet();
      const first = await peer.message();
      const second = await peer.message();
      const bytes = Buffer.concat([
        frameOf(0, JSON.stringify({ seq: second.seq, ok: { startedAt: "42" } })),
        frameOf(0, JSON.stringify({ seq: first.seq, ok: state })),
      ]);
      for (const byte of bytes) {
        peer.sendRaw(Buffer.from([byte]));
        await sleep(0);
      }
    });
    const connection = await connect(shim);
    const [found, startedAt] = await Promise.all([connection.state(), connection.start()]);
    assert.equal(found.pid, 5);
    assert.equal(startedAt, 42n);
    connection.close();
  });

  test("connection: a socket path over 107 bytes", async () => {
    await using shim = await FakeShim.start((peer) => answerAll(peer, state), "s".repeat(60));
    const long = shim.path.replace("/berth-fake", `${"/.".repeat(40)}/berth-fake`);
    assert.ok(long.length > 107);
    const connection = await ShimConnection.connect(long, fakeIdentity, { timeoutMs: 2000 });
    assert.equal((await connection.state()).id, "c");
    connection.close();
  });

  test("connection: the shim's failure is thrown with its code and words", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet();
      const { seq } = await peer.message();
      const error = {
        code: "failed-precondition",
        message: "update c: not running",
        syscall: "write",
        errno: 16,
      };
      peer.send({ seq, error });
    });
    const connection = await connect(shim);
    await assert.rejects(connection.update({ pids: { limit: 5 } }), {
      name: "RuntimeError",
      code: "failed-precondition",
      message: "update c: not running",
    });
    connection.close();
  });

  test("connection: no socket, and a socket that nobody serves", async () => {
    await assert.rejects(ShimConnection.connect("/nowhere/shim.sock", fakeIdentity), {
      code: "unavailable",
      message: "connect /nowhere/shim.sock: no such socket",
    });
    await assert.rejects(ShimConnection.connect(`/nowhere/${"x".repeat(200)}`, fakeIdentity), {
      code: "unavailable",
    });
  });

  const strangers: readonly (readonly [name: string, hello: object, code: string, message: RegExp])[] = [
    ["protocol", { protocol: 99 }, "failed-precondition", /speaks protocol 99, not 1/],
    ["boot", { boot: "another" }, "failed-precondition", /is of another boot, another/],
    ["shape", { pid: "x" }, "internal", /unreadable message from the shim: pid/],
  ];
  for (const [name, hello, code, message] of strangers) {
    test(`connection: a hello of another ${name} is refused`, async () => {
      await using shim = await FakeShim.start(async (peer) => {
        await peer.greet(hello as Record<string, unknown>);
        await peer.gone();
      });
      await assert.rejects(connect(shim), { code, message });
      assert.deepEqual(shim.failures, []);
    });
  }

  test("connection: a shim of another build is taken", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet({ build: "older" });
      await peer.gone();
    });
    (await connect(shim)).close();
  });

  test("connection: no hello ends at the deadline and leaves no connection", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.message();
      await peer.gone();
    });
    await assert.rejects(connect(shim, 50), {
      code: "deadline-exceeded",
      message: /hello of .*: no answer in/,
    });
    assert.deepEqual(shim.failures, []);
  });

  test("connection: a request that hangs ends at its deadline, its late answer is dropped, the next one works", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet();
      const late = await peer.message();
      const { seq } = await peer.message();
      peer.send({ seq: late.seq, ok: { ...state, id: "late" } });
      peer.send({ seq, ok: state });
    });
    const connection = await connect(shim);
    await assert.rejects(connection.state(shortWait), {
      code: "deadline-exceeded",
      message: /^state on .*: no answer in 50 ms$/,
    });
    assert.equal((await connection.state()).id, "c");
    connection.close();
  });

  test("connection: an abort ends a request at once; an aborted one is never sent", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet();
      await peer.gone();
    });
    const connection = await connect(shim);
    const aborting = new AbortController();
    const waiting = connection.state({ signal: aborting.signal });
    aborting.abort();
    await assert.rejects(waiting, { code: "aborted" });
    await assert.rejects(connection.state({ signal: aborting.signal }), { code: "aborted" });
    connection.close();
  });

  test("connection: cut, all that wait fail, and so does what comes later", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet();
      await peer.message();
      await peer.message();
      peer.cut();
    });
    const connection = await connect(shim);
    const results = await Promise.allSettled([connection.state(), connection.pause()]);
    for (const result of results) assert.equal(result.status, "rejected");
    assert.equal((await connection.closed).code, "unavailable");
    await assert.rejects(connection.resume(), { code: "unavailable" });
  });

  const nonsense: readonly (readonly [name: string, bytes: Buffer, message: RegExp])[] = [
    ["an oversize frame", Buffer.from([1, 0, 16, 0, 0]), new RegExp(`frame of ${maxFrameBytes + 1} bytes`)],
    ["no JSON", frameOf(0, "{"), /a message from the shim is not JSON/],
    [
      "a second hello",
      frameOf(0, JSON.stringify({ type: "hello", protocol: 1, ...fakeIdentity, pid: 1 })),
      /a second hello/,
    ],
    ["no seq", frameOf(0, "{}"), /unreadable message from the shim: seq/],
    ["null", frameOf(0, "null"), /unreadable message from the shim: message/],
  ];
  for (const [name, bytes, message] of nonsense) {
    test(`connection: ${name} ends it`, async () => {
      await using shim = await FakeShim.start(async (peer) => {
        await peer.greet();
        peer.sendRaw(bytes);
        await peer.gone();
      });
      const connection = await connect(shim);
      const reason = await connection.closed;
      assert.equal(reason.code, "internal");
      assert.match(reason.message, message);
      assert.deepEqual(shim.failures, []);
    });
  }

  test("connection: the exit is told once to each who listens, also to one who comes later", async () => {
    await using shim = await FakeShim.start(async (peer) => {
      await peer.greet();
      peer.send({ event: "exit", record });
      peer.send({ event: "exit", record: { ...record, exitCode: 4 } });
      await peer.gone();
    });
    const connection = await connect(shim);
    const heard: ExitRecord[] = [];
    const stop = connection.onExit(() => assert.fail("does not listen any more"));
    stop();
    await new Promise<void>((resolve) => {
      connection.onExit((exit) => {
        heard.push(exit);
        resolve();
      });
    });
    await new Promise<void>((resolve) => {
      connection.onExit((exit) => {
        heard.push(exit);
        resolve();
      });
    });
    assert.deepEqual(heard, [record, record]);
    connection.close();
  });
});
