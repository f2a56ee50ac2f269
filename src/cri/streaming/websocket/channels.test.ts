import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMessage, encodeMessage, type ChannelCodec } from "./channels.ts";

const messages: readonly {
  readonly codec: ChannelCodec;
  readonly channel: number;
  readonly bytes: Buffer;
  readonly wire: Buffer | string;
}[] = [
  { codec: "binary", channel: 1, bytes: Buffer.from("hi"), wire: Buffer.from("\u0001hi") },
  { codec: "binary", channel: 3, bytes: Buffer.alloc(0), wire: Buffer.of(3) },
  { codec: "base64", channel: 0, bytes: Buffer.from("foo\n"), wire: "0Zm9vCg==" },
  { codec: "base64", channel: 4, bytes: Buffer.alloc(0), wire: "4" },
  { codec: "base64", channel: 12, bytes: Buffer.from("x"), wire: "<eA==" },
];

for (const { codec, channel, bytes, wire } of messages) {
  test(`websocket channels: ${codec} on channel ${channel}, both ways`, () => {
    assert.deepEqual(encodeMessage(codec, channel, bytes), wire);
    assert.deepEqual(decodeMessage(codec, Buffer.from(wire as string)), { channel, bytes });
  });
}

test("websocket channels: an empty message and bad base64 are nothing", () => {
  assert.equal(decodeMessage("binary", Buffer.alloc(0)), undefined);
  for (const text of ["0abc", "0ab!=", "0=abc", "0YQ=a"]) {
    assert.equal(decodeMessage("base64", Buffer.from(text)), undefined);
  }
});
