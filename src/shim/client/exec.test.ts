import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FakeShim, fakeIdentity } from "../../../test/shim/support/fake-shim.ts";
import { frameStderr, frameStdin, frameStdinEof, frameStdout, maxFrameBytes } from "../protocol/frame.ts";
import { ShimConnection } from "./shim-connection.ts";

const command = {
  process: { cwd: "/", args: ["true"], user: { uid: 0, gid: 0 } },
  stdin: "open",
  timeoutMs: 0,
  drainMs: 100,
} as const;
const exitEvent = { event: "exec-exit", exitCode: 7, signal: 0, timedOut: false };
const exitRecord = {
  exitCode: 0,
  signal: 0,
  oomKilled: false,
  startedAt: "1",
  finishedAt: "2",
  message: "",
};

/** A shim whose first connection is the control one, and whose others follow `script`. */
async function start(script: Parameters<typeof FakeShim.start>[0]): Promise<{
  readonly shim: FakeShim;
  readonly connection: ShimConnection;
}> {
  const shim = await FakeShim.start(async (peer, index) => {
    await peer.greet();
    await (index === 0 ? peer.gone() : script(peer, index));
  });
  return { shim, connection: await ShimConnection.connect(shim.path, fakeIdentity, { timeoutMs: 2000 }) };
}

await suite("exec", () => {
  test("exec: input goes there, output comes back in order, then the exit; the connection ends", async () => {
    const fed: (readonly [number, string])[] = [];
    let request: Record<string, unknown> = {};
    const { shim, connection } = await start(async (peer) => {
      request = await peer.message();
      peer.send({ seq: request["seq"], ok: { pid: 99 } });
      for (let frames = 0; frames < 2; frames++) {
        const { kind, payload } = await peer.frame();
        fed.push([kind, payload.toString()]);
      }
      peer.sendFrame(frameStdout, "out");
      peer.sendFrame(frameStderr, "err");
      peer.sendFrame(frameStdout, "out again");
      peer.send(exitEvent);
      await peer.gone();
    });
    await using _ = shim;
    const output: string[] = [];
    const session = await connection.exec(command, {
      onStdout: (bytes) => void output.push(`1 ${bytes.toString()}`),
      onStderr: (bytes) => void output.push(`2 ${bytes.toString()}`),
    });
    assert.equal(session.pid, 99);
    await session.writeStdin(Buffer.from("input"));
    await session.closeStdin();
    assert.deepEqual(await session.exit, { exitCode: 7, signal: 0, timedOut: false });
    assert.deepEqual(output, ["1 out", "2 err", "1 out again"]);
    assert.deepEqual(fed, [
      [frameStdin, "input"],
      [frameStdinEof, ""],
    ]);
    assert.deepEqual(request, { type: "exec", seq: 1, ...command });
    assert.equal((await session.closed).code, "unavailable");
    connection.close();
  });

  test("exec: what cannot be started is the shim's failure", async () => {
    const { shim, connection } = await start(async (peer) => {
      const { seq } = await peer.message();
      peer.send({
        seq,
        error: { code: "not-found", message: 'exec "x": no such file or directory in $PATH' },
      });
      await peer.gone();
    });
    await using _ = shim;
    await assert.rejects(connection.exec(command, {}), {
      code: "not-found",
      message: 'exec "x": no such file or directory in $PATH',
    });
    connection.close();
  });

  test("exec: a slow reader holds the shim back, and the exit waits for it", async () => {
    const total = 200;
    let backlogSeen = 0;
    const { shim, connection } = await start(async (peer) => {
      const { seq } = await peer.message();
      peer.send({ seq, ok: { pid: 1 } });
      for (let frames = 0; frames < total; frames++) peer.sendFrame(frameStdout, Buffer.alloc(64 * 1024));
      peer.send(exitEvent);
      await sleep(100);
      backlogSeen = peer.backlog;
      await peer.gone();
    });
    await using _ = shim;
    let bytes = 0;
    let busy = 0;
    const session = await connection.exec(command, {
      onStdout: async (chunk) => {
        assert.equal(++busy, 1);
        bytes += chunk.length;
        await sleep(bytes < 1024 * 1024 ? 10 : 0);
        busy--;
      },
    });
    await session.exit;
    assert.equal(bytes, total * 64 * 1024);
    assert.ok(backlogSeen > 1024 * 1024, `only ${backlogSeen} bytes were held back`);
    connection.close();
  });

  test("exec: output and exit are whole although the shim closed long before they are taken", async () => {
    const { shim, connection } = await start(async (peer) => {
      const { seq } = await peer.message();
      peer.send({ seq, ok: { pid: 1 } });
      for (let frames = 0; frames < 5; frames++) peer.sendFrame(frameStdout, Buffer.alloc(1000));
      peer.send(exitEvent);
      peer.end();
    });
    await using _ = shim;
    let bytes = 0;
    const session = await connection.exec(command, {
      onStdout: async (chunk) => {
        await sleep(20);
        bytes += chunk.length;
      },
    });
    assert.equal((await session.exit).exitCode, 7);
    assert.equal(bytes, 5000);
    connection.close();
  });

  test("exec: a cut connection ends the wait for the exit", async () => {
    const { shim, connection } = await start(async (peer) => {
      const { seq } = await peer.message();
      peer.send({ seq, ok: { pid: 1 } });
      peer.cut();
    });
    await using _ = shim;
    const session = await connection.exec(command, {});
    await assert.rejects(session.exit, { code: "unavailable" });
    await assert.rejects(session.writeStdin(Buffer.from("x")), { code: "unavailable" });
    connection.close();
  });

  test("exec: a handler that throws ends its session alone", async () => {
    const { shim, connection } = await start(async (peer) => {
      const { seq } = await peer.message();
      peer.send({ seq, ok: { pid: 1 } });
      peer.sendFrame(frameStdout, "x");
      await peer.gone();
    });
    await using _ = shim;
    const session = await connection.exec(command, {
      onStdout: () => {
        throw new Error("full");
      },
    });
    await assert.rejects(session.exit, { code: "internal", message: /full/ });
    connection.close();
  });

  test("exec: input larger than a frame goes in several, and waits for the other side", async () => {
    const size = 3 * maxFrameBytes + 5;
    const { shim, connection } = await start(async (peer) => {
      const { seq } = await peer.message();
      peer.send({ seq, ok: { pid: 1 } });
      let got = 0;
      while (got < size) {
        const { kind, payload } = await peer.frame();
        if (kind === frameStdin) got += payload.length;
      }
      peer.send({ ...exitEvent, exitCode: 0 });
      await peer.gone();
    });
    await using _ = shim;
    const session = await connection.exec(command, {});
    await session.writeStdin(Buffer.alloc(size));
    assert.equal((await session.exit).exitCode, 0);
    connection.close();
  });

  test("attach: streams, resize and the container's exit", async () => {
    const requests: unknown[] = [];
    const { shim, connection } = await start(async (peer) => {
      const attach = await peer.message();
      peer.send({ seq: attach.seq, ok: {} });
      const resize = await peer.message();
      peer.send({ seq: resize.seq, ok: {} });
      requests.push(attach, resize);
      peer.sendFrame(frameStdout, "hello");
      peer.send({ event: "exit", record: exitRecord });
      await peer.gone();
    });
    await using _ = shim;
    let text = "";
    const session = await connection.attach(
      { stdin: false, stdout: true, stderr: false },
      { onStdout: (bytes) => void (text += bytes.toString()) },
    );
    await session.resize(24, 80);
    assert.deepEqual(await session.exit, exitRecord);
    assert.equal(text, "hello");
    assert.deepEqual(requests, [
      { type: "attach", seq: 1, stdin: false, stdout: true, stderr: false },
      { type: "resize", seq: 2, rows: 24, cols: 80 },
    ]);
    session.close();
    connection.close();
  });
});
