import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import type { TerminalSize } from "../../src/cri/streaming/index.ts";
import { windowUpdate } from "../../src/cri/streaming/spdy/encoder.ts";
import { cat, execRequest, startServer, until } from "./fixture.ts";
import { SpdyClient, type ClientStream } from "./spdy-client.ts";

type Streams = Readonly<Record<string, ClientStream>>;

async function openStreams(client: SpdyClient, ...types: readonly string[]): Promise<Streams> {
  const opened = types.map(async (streamtype) => [streamtype, await client.stream({ streamtype })] as const);
  return Object.fromEntries(await Promise.all(opened));
}

const versions = [
  { protocol: "v5.channel.k8s.io", status: true },
  { protocol: "v4.channel.k8s.io", status: true },
  { protocol: "v3.channel.k8s.io", status: false },
  { protocol: "v2.channel.k8s.io", status: false },
  { protocol: "channel.k8s.io", status: false },
];

for (const { protocol, status } of versions) {
  test(`spdy exec: ${protocol}: output, input to its end, exit code`, async () => {
    await using server = await startServer(async (io) => {
      await cat(io, execRequest());
      await io.stderr(Buffer.from("oops"));
      return 3;
    });
    await using client = await SpdyClient.open(server.exec(execRequest()), "v9.channel.k8s.io", protocol);
    assert.equal(client.protocol, protocol);
    const { error, stdin, stdout, stderr } = await openStreams(client, "error", "stdin", "stdout", "stderr");
    stdin?.write("hello ");
    stdin?.write("world");
    stdin?.end();
    assert.equal(await stdout?.text(), "hello world");
    assert.equal(await stderr?.text(), "oops");
    const told = (await error?.text()) ?? "";
    if (status) {
      const { reason, details } = JSON.parse(told) as Record<string, unknown>;
      assert.deepEqual(
        { reason, details },
        { reason: "NonZeroExitCode", details: { causes: [{ reason: "ExitCode", message: "3" }] } },
      );
    } else {
      assert.match(told, /exit code 3$/);
    }
    assert.equal(client.frames.at(-1)?.type, "go-away");
  });
}

test("spdy exec: success is told by a status, and in old versions by silence", async () => {
  await using server = await startServer(() => Promise.resolve(0));
  for (const [protocol, told] of [
    ["v4.channel.k8s.io", '{"metadata":{},"status":"Success"}'],
    ["v2.channel.k8s.io", ""],
  ] as const) {
    const url = server.exec(execRequest({ stdin: false, stderr: false }));
    await using client = await SpdyClient.open(url, protocol);
    const { error } = await openStreams(client, "error", "stdout");
    assert.equal(await error?.text(), told);
  }
});

test("spdy exec: a backend's error is told in the error stream", async () => {
  await using server = await startServer(() => Promise.reject(new Error("no such file")));
  await using client = await SpdyClient.open(server.exec(execRequest({ stdin: false })), "v4.channel.k8s.io");
  const { error } = await openStreams(client, "error", "stdout", "stderr");
  const { reason, message } = JSON.parse((await error?.text()) ?? "") as Record<string, unknown>;
  assert.equal(reason, "InternalError");
  assert.equal(message, "Internal error occurred: error executing command in container: no such file");
});

test("spdy exec: a terminal's sizes arrive, the one before the command listened too", async () => {
  const sizes: TerminalSize[] = [];
  await using server = await startServer(async (io) => {
    io.onResize((size) => sizes.push(size));
    return cat(io, execRequest());
  });
  const url = server.exec(execRequest({ tty: true, stderr: false }));
  await using client = await SpdyClient.open(url, "v4.channel.k8s.io");
  const { stdin, resize, error } = await openStreams(client, "error", "stdin", "stdout", "resize");
  resize?.write('{"Width":80,"Height":24}\n{"Wid');
  resize?.write('th":100,"Height":30}\n');
  await until("two sizes", () => sizes.length === 2);
  stdin?.end();
  await error?.text();
  assert.deepEqual(sizes, [
    { rows: 24, cols: 80 },
    { rows: 30, cols: 100 },
  ]);
});

test("spdy attach: several clients at once, and one that leaves", async () => {
  const outputs = new Set<(bytes: Buffer) => Promise<void>>();
  const end = Promise.withResolvers<number>();
  let left = 0;
  await using server = await startServer((io) => {
    outputs.add(io.stdout);
    io.signal.addEventListener("abort", () => left++);
    return end.promise;
  });
  const attach = { containerId: "c1", tty: false, stdin: false, stdout: true, stderr: false };
  const clients = await Promise.all(
    [1, 2, 3].map(async () => {
      const client = await SpdyClient.open(server.attach(attach), "v4.channel.k8s.io");
      return { client, ...(await openStreams(client, "error", "stdout")) } as const;
    }),
  );
  await until("three clients", () => outputs.size === 3);
  const [first, second, third] = clients;
  first?.client.socket.destroy();
  await until("one that left", () => left === 1);
  for (const output of outputs) await output(Buffer.from("to all"));
  end.resolve(0);
  for (const stays of [second, third]) {
    assert.equal(await (stays as Streams | undefined)?.["stdout"]?.text(), "to all");
    await stays?.client[Symbol.asyncDispose]();
  }
});

test("spdy exec: 20 MB both ways arrive whole", async () => {
  await using server = await startServer(cat);
  await using client = await SpdyClient.open(
    server.exec(execRequest({ stderr: false })),
    "v4.channel.k8s.io",
  );
  const { stdin, stdout, error } = await openStreams(client, "error", "stdin", "stdout");
  const sent = randomBytes(20_000_000).toString("hex").slice(0, 20_000_000);
  for (let offset = 0; offset < sent.length; offset += 100_000)
    stdin?.write(sent.slice(offset, offset + 100_000));
  stdin?.end();
  assert.equal((await stdout?.text()) === sent, true);
  assert.match((await error?.text()) ?? "", /Success/);
  const credit = client.frames.reduce(
    (sum, frame) => sum + (frame.type === "window-update" && frame.streamId === stdin?.id ? frame.delta : 0),
    0,
  );
  // A client that waits for windows is given one for nearly every byte; the last ones came with the end.
  assert.ok(credit > 18_000_000, `credit for ${credit} bytes`);
});

test("spdy exec: a client that gives windows is not sent more than they allow", async () => {
  await using server = await startServer(async (io) => {
    await io.stdout(Buffer.alloc(300_000));
    return 0;
  });
  const url = server.exec(execRequest({ stdin: false, stderr: false }));
  await using client = await SpdyClient.open(url, "v4.channel.k8s.io");
  // The first sign of windows comes before the command begins.
  const error = await client.stream({ streamtype: "error" });
  client.send(windowUpdate(error.id, 1));
  const stdout = await client.stream({ streamtype: "stdout" });
  await until("a first window", () => stdout.receivedBytes === 65_536);
  client.send(windowUpdate(stdout.id, 100_000));
  await until("a second window", () => stdout.receivedBytes === 165_536);
  client.send(windowUpdate(stdout.id, 200_000));
  assert.equal((await stdout.text()).length, 300_000);
});

test("spdy exec: a client that does not read slows the command and holds little", async () => {
  let sent = 0;
  await using server = await startServer(async (io) => {
    for (; sent < 1_000 && !io.signal.aborted; sent++) await io.stdout(Buffer.alloc(64 * 1024));
    return 0;
  });
  const url = server.exec(execRequest({ stdin: false, stderr: false }));
  const client = await SpdyClient.open(url, "v4.channel.k8s.io");
  client.socket.pause();
  client.begin({ streamtype: "error" });
  client.begin({ streamtype: "stdout" });
  await until("output", () => sent > 10);
  let before = -1;
  let stillFor = 0;
  await until("the command to be held back", () => {
    stillFor = sent === before ? stillFor + 1 : 0;
    before = sent;
    return stillFor > 10;
  });
  assert.ok(sent < 200, `${sent} pieces of 64 KiB are on their way`);
  client.socket.destroy();
  await until("the command's end", () => sent < 1_000);
});

test("spdy exec: a client that vanishes while nobody reads its input is noticed", async () => {
  const gone = Promise.withResolvers<undefined>();
  await using server = await startServer(async (io) => {
    await new Promise((resolve) => {
      io.signal.addEventListener("abort", resolve);
    });
    gone.resolve(undefined);
    return 137;
  });
  const client = await SpdyClient.open(server.exec(execRequest({ stderr: false })), "v4.channel.k8s.io");
  const { stdin } = await openStreams(client, "error", "stdin", "stdout");
  for (let index = 0; index < 40; index++) stdin?.write(Buffer.alloc(64 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 100));
  client.socket.destroy();
  await gone.promise;
});
