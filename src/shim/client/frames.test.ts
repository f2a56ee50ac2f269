import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { frameOf } from "../../../test/shim/support/fake-shim.ts";
import { maxFrameBytes } from "../protocol/frame.ts";
import { FrameDecoder, encodeFrame, encodeMessage } from "./frames.ts";

await suite("frames", () => {
  const frames = [
    { kind: 0, payload: '{"seq":1}' },
    { kind: 2, payload: "" },
    { kind: 3, payload: "x".repeat(300) },
  ];
  const stream = Buffer.concat(frames.map(({ kind, payload }) => frameOf(kind, payload)));

  test("frames: any cut of the stream gives the same frames", () => {
    for (let size = 1; size <= stream.length; size++) {
      const decoder = new FrameDecoder();
      const found: { kind: number; payload: string }[] = [];
      for (let at = 0; at < stream.length; at += size) {
        const decoded = [...decoder.push(Buffer.from(stream.subarray(at, at + size)))];
        found.push(...decoded.map(({ kind, payload }) => ({ kind, payload: payload.toString() })));
      }
      assert.deepEqual(found, frames, `pieces of ${size}`);
    }
  });

  test("frames: the largest payload passes, a larger one is refused on both sides", () => {
    const largest = encodeFrame(1, Buffer.alloc(maxFrameBytes));
    assert.equal([...new FrameDecoder().push(largest)][0]?.payload.length, maxFrameBytes);
    assert.throws(() => encodeFrame(1, Buffer.alloc(maxFrameBytes + 1)), { code: "invalid-argument" });
    const header = Buffer.alloc(5);
    header.writeUInt32LE(maxFrameBytes + 1, 0);
    assert.throws(() => [...new FrameDecoder().push(header)], /frame of 1048577 bytes is over the limit/);
  });

  test("frames: an unknown kind is refused as soon as the header is there", () => {
    assert.throws(
      () => [...new FrameDecoder().push(Buffer.from([255, 255, 0, 0, 9]))],
      /unknown frame kind 9/,
    );
  });

  test("frames: a message is its JSON", () => {
    assert.deepEqual(encodeMessage({ type: "state", seq: 3 }), frameOf(0, '{"type":"state","seq":3}'));
  });
});
