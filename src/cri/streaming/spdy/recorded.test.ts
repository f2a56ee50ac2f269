import assert from "node:assert/strict";
import { duplexPair, type Duplex } from "node:stream";
import { test } from "node:test";
import type { ConnectionTiming } from "../timing.ts";
import { SpdyConnection } from "./connection.ts";
import { FrameDecoder } from "./decoder.ts";
import type { Frame } from "./frames.ts";
import { recordedExec, recordedForward, recordedTerminal } from "./recorded.fixture.ts";

const timing: ConnectionTiming = {
  streamCreationTimeoutMs: 1_000,
  idleTimeoutMs: 10_000,
  lingerMs: 100,
  probeIntervalMs: 1_000,
};

/** What a recorded client opened and sent, stream by stream, and the frames that it was answered with. */
interface Replay {
  readonly streams: readonly { readonly headers: object; readonly text: string }[];
  readonly answers: readonly Frame[];
}

/** Plays a client's bytes in pieces of some size and, when all its streams are answered, closes as that client did. */
async function replay(recorded: Buffer, pieceBytes: number, streamCount: number): Promise<Replay> {
  const [client, server] = duplexPair();
  const answers: Frame[] = [];
  const answered = collectFrames(client, answers, streamCount);
  const opened: Promise<Replay["streams"][number]>[] = [];
  const connection = new SpdyConnection(
    server,
    {
      check: () => undefined,
      opened: (stream) => {
        opened.push(
          (async () => {
            let text = "";
            for await (const bytes of stream.incoming) text += bytes.toString();
            return { headers: Object.fromEntries(stream.headers), text };
          })(),
        );
      },
    },
    timing,
  );
  for (let offset = 0; offset < recorded.length; offset += pieceBytes) {
    client.write(recorded.subarray(offset, offset + pieceBytes));
  }
  await answered;
  client.end();
  await new Promise((resolve) => {
    connection.signal.addEventListener("abort", resolve);
  });
  return { streams: await Promise.all(opened), answers };
}

/** Collects frames; resolves once there are so many. */
function collectFrames(client: Duplex, frames: Frame[], count: number): Promise<void> {
  const decoder = new FrameDecoder();
  return new Promise((resolve) => {
    client.on("error", () => undefined);
    client.on("data", (chunk: Buffer) => {
      frames.push(...decoder.push(chunk));
      if (frames.length >= count) resolve();
    });
  });
}

for (const pieceBytes of [1, 7, 65_536]) {
  test(`recorded client: an exec, in pieces of ${pieceBytes} bytes`, async () => {
    const { streams, answers } = await replay(recordedExec, pieceBytes, 4);
    assert.deepEqual(
      streams.map(({ headers, text }) => ({ headers, text })),
      [
        { headers: { streamtype: "error" }, text: "" },
        { headers: { streamtype: "stdin" }, text: "hello from a recorded client\n" },
        { headers: { streamtype: "stdout" }, text: "" },
        { headers: { streamtype: "stderr" }, text: "" },
      ],
    );
    assert.deepEqual(
      answers.map((frame) => ("streamId" in frame ? `${frame.type} ${frame.streamId}` : frame.type)),
      ["syn-reply 1", "syn-reply 3", "syn-reply 5", "syn-reply 7"],
    );
  });

  test(`recorded client: a terminal, in pieces of ${pieceBytes} bytes`, async () => {
    const { streams } = await replay(recordedTerminal, pieceBytes, 4);
    assert.deepEqual(
      streams.map(({ headers }) => headers),
      ["error", "stdin", "stdout", "resize"].map((streamtype) => ({ streamtype })),
    );
  });

  test(`recorded client: two forwarded connections, in pieces of ${pieceBytes} bytes`, async () => {
    const { streams } = await replay(recordedForward, pieceBytes, 4);
    assert.deepEqual(
      streams.map(({ headers, text }) => ({ ...headers, text })),
      [
        { streamtype: "error", port: "18082", requestid: "0", text: "" },
        { streamtype: "data", port: "18082", requestid: "0", text: "first connection" },
        { streamtype: "error", port: "18082", requestid: "1", text: "" },
        { streamtype: "data", port: "18082", requestid: "1", text: "second connection" },
      ],
    );
  });
}
