import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { test } from "node:test";
import { startPodServer, startServer, until } from "./fixture.ts";
import { SpdyClient, type ClientStream } from "./spdy-client.ts";

const protocol = "portforward.k8s.io";
const noCommand = (): Promise<number> => Promise.resolve(0);

let lastRequest = 0;

interface Pair {
  readonly data: ClientStream;
  readonly error: ClientStream;
}

/** Opens a forwarded connection as clients do: the error stream first and ended at once. */
async function openPair(client: SpdyClient, port: number): Promise<Pair> {
  const headers = { port: String(port), requestid: String(lastRequest++) };
  const error = client.begin({ ...headers, streamtype: "error" });
  error.end();
  const data = client.begin({ ...headers, streamtype: "data" });
  await Promise.all([error.accepted.promise, data.accepted.promise]);
  return { data, error };
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

test("spdy port-forward: 100 connections at once, each with its own bytes, half-closed", async () => {
  // Answers only at the end of the input: without half-close it would wait for ever.
  await using pod = await startPodServer((socket) => {
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("end", () => socket.end(Buffer.concat(parts)));
  });
  await using server = await startServer(noCommand);
  await using client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  const echoes = Array.from({ length: 100 }, async () => {
    const { data, error } = await openPair(client, pod.port);
    const sent = randomBytes(50_000).toString("hex");
    data.write(sent);
    data.end();
    assert.equal((await data.text()) === sent, true);
    assert.equal(await error.text(), "");
  });
  await Promise.all(echoes);
  await until("the pod's sockets to close", () => pod.sockets.size === 0);
});

test("spdy port-forward: the pod's end comes first, input still flows", async () => {
  const got = Promise.withResolvers<string>();
  await using pod = await startPodServer((socket) => {
    let text = "";
    socket.on("data", (part) => (text += part.toString()));
    socket.on("end", () => {
      got.resolve(text);
    });
    socket.end("bye");
  });
  await using server = await startServer(noCommand);
  await using client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  const { data } = await openPair(client, pod.port);
  assert.equal(await data.text(), "bye");
  data.write("still here");
  data.end();
  assert.equal(await got.promise, "still here");
});

test("spdy port-forward: one bad connection leaves the others alone", async () => {
  await using pod = await startPodServer((socket) => {
    socket.once("data", (first: Buffer) => {
      if (first.toString() === "die") socket.resetAndDestroy();
      else socket.end(first);
    });
  });
  await using server = await startServer(noCommand);
  await using client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  const good = await openPair(client, pod.port);
  const torn = await openPair(client, pod.port);
  const given = await openPair(client, pod.port);
  const port = await unusedPort();
  const refused = await openPair(client, port);
  assert.match(
    await refused.error.text(),
    new RegExp(`^error forwarding port ${port} to pod p1: .*ECONNREFUSED`),
  );
  assert.equal(await refused.data.ended.promise, "reset");
  torn.data.write("die");
  assert.equal(await torn.data.ended.promise, "reset");
  assert.equal(await torn.error.text(), "");
  given.data.reset();
  assert.equal(await given.error.ended.promise, "fin");
  good.data.write("alive");
  assert.equal(await good.data.text(), "alive");
});

test("spdy port-forward: a client that leaves takes its connections along", async () => {
  await using pod = await startPodServer((socket) => {
    socket.resume().on("end", () => socket.end());
  });
  await using server = await startServer(noCommand);
  const client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  await Promise.all(Array.from({ length: 20 }, () => openPair(client, pod.port)));
  await until("the connections", () => pod.sockets.size === 20);
  client.socket.destroy();
  await until("their end", () => pod.sockets.size === 0);
});

test("spdy port-forward: streams without requestID pair up by their numbers", async () => {
  await using pod = await startPodServer((socket) => socket.pipe(socket));
  await using server = await startServer(noCommand);
  await using client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  const port = String(pod.port);
  const error = await client.stream({ streamtype: "error", port });
  const data = await client.stream({ streamtype: "data", port });
  data.write("old client");
  data.end();
  assert.equal(await data.text(), "old client");
  assert.equal(await error.text(), "");
});

test("spdy port-forward: half a pair is told so and reset after its time", async () => {
  await using server = await startServer(noCommand);
  await using client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  const error = await client.stream({ streamtype: "error", port: "80", requestid: "7" });
  const data = await client.stream({ streamtype: "data", port: "80", requestid: "8" });
  assert.match(await error.text(), /^request 7: the client did not open both its streams in time$/);
  assert.equal(await data.ended.promise, "reset");
});

const refusedHeaders: readonly Readonly<Record<string, string>>[] = [
  { port: "80" },
  { streamtype: "data" },
  { streamtype: "stdin", port: "80" },
  { streamtype: "data", port: "0" },
  { streamtype: "data", port: "65536" },
  { streamtype: "data", port: "http" },
];

test("spdy port-forward: streams with wrong headers are reset, the session goes on", async () => {
  await using pod = await startPodServer((socket) => socket.pipe(socket));
  await using server = await startServer(noCommand);
  await using client = await SpdyClient.open(server.portForward({ podId: "p1", ports: [] }), protocol);
  for (const headers of refusedHeaders) {
    await assert.rejects(client.stream(headers), /stream reset with status 1/, JSON.stringify(headers));
  }
  const { data } = await openPair(client, pod.port);
  await assert.rejects(
    client.stream({ streamtype: "data", port: "80", requestid: String(lastRequest - 1) }).then((again) => {
      // The pair was complete, so this begins another one, whose error stream never comes.
      return again.ended.promise.then((end) => Promise.reject(new Error(end)));
    }),
    /reset/,
  );
  data.write("alive");
  data.end();
  assert.equal(await data.text(), "alive");
});

test("spdy port-forward: tunnelled in a WebSocket", async () => {
  await using pod = await startPodServer((socket) => socket.pipe(socket));
  await using server = await startServer(noCommand);
  const url = server.portForward({ podId: "p1", ports: [] });
  await using client = await SpdyClient.openTunnel(url, protocol);
  assert.equal(client.protocol, `SPDY/3.1+${protocol}`);
  const { data, error } = await openPair(client, pod.port);
  const sent = randomBytes(200_000).toString("hex");
  data.write(sent);
  data.end();
  assert.equal((await data.text()) === sent, true);
  assert.equal(await error.text(), "");
});
