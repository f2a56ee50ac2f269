import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../../core/errors.ts";
import { FrameDecoder } from "./decoder.ts";
import { control, dataHeader, goAway, ping, rstStream, synReply, windowUpdate, words } from "./encoder.ts";
import { controlType, resetStatus, type Frame } from "./frames.ts";

const block = Buffer.from("block");
const synStream = (flags: number): Buffer =>
  Buffer.concat([control(controlType.synStream, flags, 15), words(5, 0), Buffer.of(0, 0), block]);
const settings = (...entries: readonly (readonly [id: number, value: number])[]): Buffer =>
  Buffer.concat([
    control(controlType.settings, 0, 4 + 8 * entries.length),
    words(entries.length, ...entries.flat()),
  ]);

const frames: readonly { readonly name: string; readonly bytes: Buffer; readonly frame: Frame }[] = [
  {
    name: "syn_stream",
    bytes: synStream(0),
    frame: { type: "syn-stream", streamId: 5, block, fin: false, unidirectional: false },
  },
  {
    name: "syn_stream that sends and receives nothing",
    bytes: synStream(3),
    frame: { type: "syn-stream", streamId: 5, block, fin: true, unidirectional: true },
  },
  {
    name: "syn_reply",
    bytes: synReply(7, block),
    frame: { type: "syn-reply", streamId: 7, block, fin: false },
  },
  {
    name: "rst_stream",
    bytes: rstStream(9, resetStatus.cancel),
    frame: { type: "rst-stream", streamId: 9, status: 5 },
  },
  { name: "settings", bytes: settings([4, 100]), frame: { type: "settings", initialWindowBytes: undefined } },
  {
    name: "settings with a window, flags in front of its id",
    bytes: settings([4, 100], [0x0100_0007, 1_000]),
    frame: { type: "settings", initialWindowBytes: 1_000 },
  },
  { name: "ping", bytes: ping(1), frame: { type: "ping", id: 1 } },
  { name: "goaway", bytes: goAway(11, 0), frame: { type: "go-away", lastStreamId: 11 } },
  {
    name: "headers",
    bytes: Buffer.concat([control(controlType.headers, 1, 9), words(3), block]),
    frame: { type: "headers", streamId: 3, block, fin: true },
  },
  {
    name: "window_update",
    bytes: windowUpdate(3, 70_000),
    frame: { type: "window-update", streamId: 3, delta: 70_000 },
  },
  { name: "credential", bytes: control(10, 0, 0), frame: { type: "unknown", controlType: 10 } },
  {
    name: "data without bytes",
    bytes: dataHeader(3, 0, "fin"),
    frame: { type: "data", streamId: 3, bytes: Buffer.alloc(0), fin: true },
  },
];

for (const { name, bytes, frame } of frames) {
  test(`spdy decoder: ${name}, whole and byte by byte`, () => {
    assert.deepEqual([...new FrameDecoder().push(bytes)], [frame]);
    const decoder = new FrameDecoder();
    assert.deepEqual(
      [...bytes].flatMap((byte) => [...decoder.push(Buffer.of(byte))]),
      [frame],
    );
  });
}

test("spdy decoder: data is handed on as it comes, its end with the last piece", () => {
  const decoder = new FrameDecoder();
  const first = [...decoder.push(Buffer.concat([dataHeader(1, 6, "fin"), Buffer.from("abc")]))];
  const second = [...decoder.push(Buffer.concat([Buffer.from("def"), ping(3)]))];
  assert.deepEqual(first, [{ type: "data", streamId: 1, bytes: Buffer.from("abc"), fin: false }]);
  assert.deepEqual(second, [
    { type: "data", streamId: 1, bytes: Buffer.from("def"), fin: true },
    { type: "ping", id: 3 },
  ]);
});

const malformed: readonly { readonly name: string; readonly bytes: Buffer; readonly says: RegExp }[] = [
  { name: "http", bytes: Buffer.from("GET / HTTP/1.1\r\n"), says: /unknown flags/ },
  { name: "another version", bytes: Buffer.from("8002000600000004", "hex"), says: /version 2/ },
  { name: "data for stream 0", bytes: dataHeader(0, 1, "more"), says: /stream 0/ },
  { name: "a gigabyte of data", bytes: Buffer.from("0000000140000000", "hex"), says: /unknown flags/ },
  { name: "a control frame of 16 MiB", bytes: control(controlType.synStream, 0, 0xff_ffff), says: /limit/ },
  { name: "an unknown control frame of 16 MiB", bytes: control(77, 0, 0xff_ffff), says: /limit/ },
  {
    name: "a syn_stream that is too short",
    bytes: Buffer.concat([control(1, 0, 4), words(1)]),
    says: /type 1/,
  },
  {
    name: "settings that are not there",
    bytes: Buffer.concat([control(4, 0, 4), words(0xffff_ffff)]),
    says: /settings/,
  },
];

for (const { name, bytes, says } of malformed) {
  test(`spdy decoder: refuses ${name}`, () => {
    assert.throws(
      () => [...new FrameDecoder().push(bytes)],
      (thrown) => hasCode(thrown, "invalid-argument") && says.test(thrown.message),
    );
  });
}
