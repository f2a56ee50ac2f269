import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";
import type { TerminalSize } from "../../src/cri/streaming/index.ts";
import {
  decodeMessage,
  encodeMessage,
  type ChannelCodec,
} from "../../src/cri/streaming/websocket/channels.ts";
import { cat, execRequest, startPodServer, startServer, until } from "./fixture.ts";

/** A client of one of the channel protocols. */
class ChannelClient implements AsyncDisposable {
  readonly socket: WebSocket;
  readonly closed = Promise.withResolvers<number>();
  readonly messages: { readonly channel: number; readonly bytes: Buffer }[] = [];
  readonly #codec: ChannelCodec;

  private constructor(socket: WebSocket, codec: ChannelCodec) {
    this.socket = socket;
    this.#codec = codec;
    socket.on("message", (data) => {
      const message = decodeMessage(codec, data);
      if (message !== undefined) this.messages.push(message);
    });
    socket.on("error", () => undefined);
    socket.on("close", (code) => {
      this.closed.resolve(code);
    });
  }

  static async open(url: string, ...protocols: string[]): Promise<ChannelClient> {
    const socket = new WebSocket(url.replace("http:", "ws:"), protocols);
    const client = new ChannelClient(socket, protocols[0]?.includes("base64") === true ? "base64" : "binary");
    await once(socket, "open");
    return client;
  }

  send(channel: number, bytes: Buffer | string): void {
    this.socket.send(encodeMessage(this.#codec, channel, Buffer.from(bytes as string)));
  }

  /** What came on a channel so far. */
  text(channel: number): string {
    const pieces = this.messages.filter((message) => message.channel === channel).map(({ bytes }) => bytes);
    return Buffer.concat(pieces).toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.closed.promise;
  }
}

test("websocket exec: v5 with half-closed input", async () => {
  await using server = await startServer(async (io) => {
    await cat(io, execRequest());
    await io.stderr(Buffer.from("oops"));
    return 3;
  });
  await using client = await ChannelClient.open(server.exec(execRequest()), "v5.channel.k8s.io");
  assert.equal(client.socket.protocol, "v5.channel.k8s.io");
  client.send(0, "hello ");
  client.send(0, "world");
  client.send(255, Buffer.of(0));
  client.send(0, "late");
  assert.equal(await client.closed.promise, 1000);
  assert.equal(client.text(1), "hello world");
  assert.equal(client.text(2), "oops");
  assert.equal((JSON.parse(client.text(3)) as { reason: string }).reason, "NonZeroExitCode");
  // The first message is empty: it tells that the command is being run.
  assert.deepEqual(client.messages[0], { channel: 1, bytes: Buffer.alloc(0) });
});

const older = [
  { protocols: ["v4.channel.k8s.io"], told: '{"metadata":{},"status":"Success"}' },
  { protocols: ["v4.base64.channel.k8s.io"], told: '{"metadata":{},"status":"Success"}' },
  { protocols: ["channel.k8s.io"], told: "" },
  { protocols: ["base64.channel.k8s.io"], told: "" },
  { protocols: [], told: "" },
] as const;

for (const { protocols, told } of older) {
  test(`websocket exec: ${protocols.join() || "no protocol"}`, async () => {
    await using server = await startServer(async (io) => {
      if (io.stdin === undefined) return 1;
      for await (const bytes of io.stdin) {
        await io.stdout(bytes);
        if (bytes.toString().endsWith("\n")) return 0;
      }
      return 1;
    });
    await using client = await ChannelClient.open(server.exec(execRequest()), ...protocols);
    client.send(0, "one ");
    client.send(0, "two\n");
    assert.equal(await client.closed.promise, 1000);
    assert.equal(client.text(1), "one two\n");
    assert.equal(client.text(3), told);
  });
}

test("websocket exec: a terminal's sizes", async () => {
  const sizes: TerminalSize[] = [];
  await using server = await startServer(async (io) => {
    io.onResize((size) => sizes.push(size));
    return cat(io, execRequest());
  });
  const url = server.exec(execRequest({ tty: true, stderr: false }));
  await using client = await ChannelClient.open(url, "v5.channel.k8s.io");
  client.send(4, '{"Width":80,"Height":24}');
  await until("a size", () => sizes.length === 1);
  client.send(255, Buffer.of(0));
  await client.closed.promise;
  assert.deepEqual(sizes, [{ rows: 24, cols: 80 }]);
});

test("websocket exec: big messages both ways, and a reader that is slow at first", async () => {
  await using server = await startServer(async (io, request) => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    return cat(io, request);
  });
  await using client = await ChannelClient.open(server.exec(execRequest()), "v5.channel.k8s.io");
  const sent = Buffer.alloc(10_000_000, "0123456789");
  client.send(0, sent.subarray(0, 6_000_000));
  client.send(0, sent.subarray(6_000_000));
  client.send(255, Buffer.of(0));
  await client.closed.promise;
  assert.equal(client.text(1) === sent.toString(), true);
});

test("websocket exec: a client that leaves, at once or while its input is not read, ends the command", async () => {
  for (const flood of [0, 5_000_000]) {
    const gone = Promise.withResolvers<undefined>();
    await using server = await startServer(async (io) => {
      await new Promise((resolve) => {
        io.signal.addEventListener("abort", resolve);
      });
      gone.resolve(undefined);
      return 137;
    });
    const client = await ChannelClient.open(server.exec(execRequest()), "v5.channel.k8s.io");
    await until("the first message", () => client.messages.length === 1);
    if (flood > 0) client.send(0, Buffer.alloc(flood));
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.terminate();
    await gone.promise;
  }
});

for (const protocol of ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"]) {
  test(`websocket port-forward: ${protocol}: channels in pairs, the port first`, async () => {
    await using pod = await startPodServer((socket) => {
      socket.once("data", (first) => socket.end(first));
    });
    await using server = await startServer(() => Promise.resolve(0));
    const ports = [pod.port, pod.port];
    await using client = await ChannelClient.open(server.portForward({ podId: "p1", ports }), protocol);
    client.send(0, "first");
    client.send(2, "second");
    assert.equal(await client.closed.promise, 1000);
    const port = Buffer.alloc(2);
    port.writeUInt16LE(pod.port);
    const began = (channel: number) => client.messages.find((message) => message.channel === channel)?.bytes;
    for (const channel of [0, 1, 2, 3]) assert.deepEqual(began(channel), port);
    assert.match(client.text(0), /first$/);
    assert.match(client.text(2), /second$/);
    assert.equal(client.messages.filter(({ channel }) => channel === 1).length, 1);
  });
}

test("websocket port-forward: a closed port is told on its error channel, the other port works", async () => {
  await using pod = await startPodServer((socket) => {
    socket.once("data", (first) => socket.end(first));
  });
  await using server = await startServer(() => Promise.resolve(0));
  const url = `${server.portForward({ podId: "p1", ports: [] })}?port=1,${pod.port}`;
  await using client = await ChannelClient.open(url, "v4.channel.k8s.io");
  await until("the error", () => client.text(1).includes("error"));
  assert.match(client.text(1), /error forwarding port 1 to pod p1: .*ECONNREFUSED/);
  client.send(2, "alive");
  await client.closed.promise;
  assert.match(client.text(2), /alive$/);
});
