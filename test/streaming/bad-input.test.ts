import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { WebSocket } from "ws";
import { control, rstStream } from "../../src/cri/streaming/spdy/encoder.ts";
import { controlType } from "../../src/cri/streaming/spdy/frames.ts";
import type { StreamingServer } from "../../src/cri/streaming/index.ts";
import { cat, execRequest, openHandles, startServer, until } from "./fixture.ts";
import { Refused, SpdyClient } from "./spdy-client.ts";

const v4 = "v4.channel.k8s.io";

function isRefused(status: number) {
  return (thrown: unknown): boolean => thrown instanceof Refused && thrown.status === status;
}

/** The status of a plain request. */
function statusOf(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const plain = request(url, { method, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    plain.on("error", reject);
    plain.end();
  });
}

test("bad input: unknown, used and misdirected tokens are not found", async () => {
  await using server = await startServer(cat);
  const url = server.exec(execRequest());
  const base = new URL(url).origin;
  const second = server.exec(execRequest());
  await assert.rejects(SpdyClient.open(`${base}/exec/AAAAAAAAAAAAAAAAAAAAAA`, v4), isRefused(404));
  await assert.rejects(SpdyClient.open(`${base}/`, v4), isRefused(404));
  await assert.rejects(SpdyClient.open(second.replace("/exec/", "/attach/"), v4), isRefused(404));
  await assert.rejects(SpdyClient.open(second, v4), isRefused(404));
  await using client = await SpdyClient.open(url, v4);
  assert.equal(client.protocol, v4);
  await assert.rejects(SpdyClient.open(url, v4), isRefused(404));
  assert.equal(await statusOf(url, "GET"), 404);
});

test("bad input: requests that are no upgrade, or to something else", async () => {
  await using server = await startServer(cat);
  for (const [method, headers, status] of [
    ["GET", {}, 400],
    ["POST", {}, 400],
    ["GET", { Connection: "Upgrade", Upgrade: "h2c" }, 400],
    ["GET", { Connection: "Upgrade", Upgrade: "SPDY/3.1" }, 400],
    ["GET", { Connection: "Upgrade", Upgrade: "SPDY/3.1", "X-Stream-Protocol-Version": "v9" }, 403],
    ["GET", { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Protocol": "v9" }, 400],
    ["GET", { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Protocol": v4 }, 400],
  ] as const) {
    assert.equal(
      await statusOf(server.exec(execRequest()), method, headers),
      status,
      JSON.stringify(headers),
    );
  }
  const forward = server.portForward({ podId: "p1", ports: [] });
  const upgrade = { Connection: "Upgrade", Upgrade: "websocket" };
  assert.equal(await statusOf(forward, "GET", upgrade), 400);
  assert.equal(
    await statusOf(`${server.portForward({ podId: "p1", ports: [] })}?port=0`, "GET", upgrade),
    400,
  );
});

const brokenStreams: readonly { readonly name: string; readonly bytes: Buffer }[] = [
  { name: "http instead of frames", bytes: Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
  { name: "zeros", bytes: Buffer.alloc(64) },
  { name: "all ones", bytes: Buffer.alloc(64, 0xff) },
  { name: "a frame of a gigabyte announced", bytes: Buffer.from("0000000140000000", "hex") },
  { name: "a control frame of 16 MiB announced", bytes: control(controlType.headers, 0, 0xff_ffff) },
  {
    name: "a header block that is not compressed",
    bytes: Buffer.concat([control(controlType.synStream, 0, 14), Buffer.alloc(14, 1)]),
  },
];

for (const { name, bytes } of brokenStreams) {
  test(`bad input: ${name} ends the connection and the command`, async () => {
    const ended = Promise.withResolvers<undefined>();
    await using server = await startServer(async (io) => {
      await new Promise((resolve) => {
        io.signal.addEventListener("abort", resolve);
      });
      ended.resolve(undefined);
      return 0;
    });
    const url = server.exec(execRequest({ stdin: false, stderr: false }));
    await using client = await SpdyClient.open(url, v4);
    await client.stream({ streamtype: "error" });
    await client.stream({ streamtype: "stdout" });
    client.send(bytes);
    await ended.promise;
    await client.closed.promise;
    assert.deepEqual(
      client.frames.filter((frame) => frame.type === "go-away"),
      [{ type: "go-away", lastStreamId: 3 }],
    );
  });
}

test("bad input: a message of a gigabyte announced ends the WebSocket with 1009", async () => {
  await using server = await startServer(async (io) => {
    await new Promise((resolve) => {
      io.signal.addEventListener("abort", resolve);
    });
    return 0;
  });
  const socket = new WebSocket(server.exec(execRequest()).replace("http:", "ws:"), "v5.channel.k8s.io");
  const code = Promise.withResolvers<number>();
  socket.on("upgrade", (response) => {
    // FIN and binary; masked, 64-bit length; 1 GiB; the mask.
    response.socket.write(Buffer.from("82ff000000004000000000000000", "hex"));
  });
  socket.on("error", () => undefined);
  socket.on("close", (closeCode) => {
    code.resolve(closeCode);
  });
  assert.ok([1006, 1009].includes(await code.promise));
});

test("bad input: streams without a type, of an unknown or the same one are reset, the command runs", async () => {
  await using server = await startServer(cat);
  await using client = await SpdyClient.open(server.exec(execRequest({ stderr: false })), v4);
  const error = await client.stream({ streamtype: "error" });
  const reset = /stream reset with status 1/;
  await assert.rejects(client.stream({}), reset);
  await assert.rejects(client.stream({ streamtype: "video" }), reset);
  await assert.rejects(client.stream({ streamtype: "error" }), reset);
  const stdin = await client.stream({ streamtype: "stdin" });
  const stdout = await client.stream({ streamtype: "stdout" });
  stdin.write("works");
  stdin.end();
  assert.equal(await stdout.text(), "works");
  assert.match(await error.text(), /Success/);
});

test("bad input: missing streams are named when their time is over", async () => {
  await using server = await startServer(cat);
  await using client = await SpdyClient.open(server.exec(execRequest()), v4);
  const error = await client.stream({ streamtype: "error" });
  await client.stream({ streamtype: "stdout" });
  assert.match(await error.text(), /did not open its streams in time: stdin, stderr/);
  await client.closed.promise;
});

test("bad input: a stream that resets midway; the rest goes on", async () => {
  await using server = await startServer(async (io) => {
    const echoed = cat(io, execRequest());
    await echoed;
    await io.stdout(Buffer.alloc(1_000_000));
    await io.stderr(Buffer.from("end"));
    return 0;
  });
  await using client = await SpdyClient.open(server.exec(execRequest()), v4);
  const error = await client.stream({ streamtype: "error" });
  const stdin = await client.stream({ streamtype: "stdin" });
  const stdout = await client.stream({ streamtype: "stdout" });
  const stderr = await client.stream({ streamtype: "stderr" });
  stdout.reset();
  stdin.write("half a li");
  stdin.reset();
  stdin.write("late data is dropped");
  client.send(rstStream(99, 5));
  assert.equal(await stderr.text(), "end");
  assert.match(await error.text(), /Success/);
});

test("bad input: a client that asks for answers and reads none is cut off", async () => {
  await using server = await startServer(cat);
  const client = await SpdyClient.open(server.exec(execRequest()), v4);
  client.socket.pause();
  const pings = Buffer.concat(
    Array.from({ length: 50_000 }, () => Buffer.from("800300060000000400000001", "hex")),
  );
  for (let turn = 0; turn < 40 && !client.socket.destroyed; turn++) {
    client.send(pings);
    await sleep(20);
  }
  client.socket.resume();
  await client.closed.promise;
});

test("bad input: an idle connection is closed after its time", async () => {
  await using server = await startServer(cat, { idleTimeoutMs: 200 });
  await using client = await SpdyClient.open(server.exec(execRequest({ stderr: false })), v4);
  const begun = performance.now();
  await client.stream({ streamtype: "error" });
  await client.stream({ streamtype: "stdin" });
  await client.stream({ streamtype: "stdout" });
  await client.closed.promise;
  assert.ok(performance.now() - begun > 150);
});

test("bad input: a connection that never speaks HTTP does not stop the server's end", async () => {
  const server = await startServer(cat);
  const { hostname, port } = new URL(server.exec(execRequest()));
  const socket = connect(Number(port), hostname);
  await new Promise((resolve) => socket.once("connect", resolve));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await server[Symbol.asyncDispose]();
  await closed;
});

/** Opens `count` streams on one session and drops them in the three ways there are. */
async function openAndAbort(server: StreamingServer, count: number): Promise<void> {
  const client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), "portforward.k8s.io");
  for (let index = 0; index < count; index++) {
    const stream = client.begin({ streamtype: "data", port: "1", requestid: String(index) });
    if (index % 3 === 0) stream.reset();
    if (index % 3 === 1) stream.end();
  }
  await client.begin({ streamtype: "data", port: "1", requestid: "last" }).accepted.promise;
  client.socket.destroy();
  await client.closed.promise;
}

test("bad input: after 1,000 streams and 200 commands that were aborted all is as it was", async () => {
  let running = 0;
  await using server = await startServer(async (io) => {
    running++;
    await new Promise((resolve) => {
      io.signal.addEventListener("abort", resolve);
    });
    running--;
    return 0;
  });
  const round = async (): Promise<void> => {
    await openAndAbort(server, 1_000);
    const clients = await Promise.all(
      Array.from({ length: 100 }, async (_value, index) => {
        const client = await SpdyClient.open(server.exec(execRequest({ stdin: false, stderr: false })), v4);
        await client.stream({ streamtype: "error" });
        await client.stream({ streamtype: "stdout" });
        if (index % 2 === 0) client.send(Buffer.from("garbage garbage!"));
        return client;
      }),
    );
    for (const client of clients) client.socket.destroy();
    await Promise.all(clients.map((client) => client.closed.promise));
    await until("the commands' end", () => running === 0);
  };
  // Code is compiled and caches fill over the first rounds: what grows after them is a leak.
  await round();
  await round();
  await sleep(50);
  const handles = openHandles();
  const heap = heapAfterCollection();
  await round();
  await round();
  let after = openHandles();
  for (let left = 100; left > 0 && JSON.stringify(after) !== JSON.stringify(handles); left--) {
    await sleep(20);
    after = openHandles();
  }
  assert.deepEqual(after, handles);
  const growth = heapAfterCollection() - heap;
  // 2,400 streams and sessions in between: one that stayed with its buffers would be a hundred times as much.
  assert.ok(growth < 8 * 1024 * 1024, `${growth} bytes more`);
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes on the heap and outside of it that are in use. */
function heapAfterCollection(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
