import assert from "node:assert/strict";
import { mkdtempSync, openSync, renameSync, rmSync, writeFileSync, appendFileSync, closeSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { follow, readToEnd } from "./follow.ts";
import { LineSplitter } from "./lines.ts";
import { parseRecord } from "./record.ts";
import { offsetOfLastLines } from "./tail.ts";

const at = "2026-01-02T03:04:05.000000006Z";

for (const [line, expected] of [
  [`${at} stdout F hello there`, ["stdout", false, "hello there"]],
  [`${at} stderr P part`, ["stderr", true, "part"]],
  [`${at} stdout F `, ["stdout", false, ""]],
  [`${at} stdout F:future  two`, ["stdout", false, " two"]],
] as const) {
  test(`log record: ${line}`, () => {
    const record = parseRecord(Buffer.from(line));
    assert.ok(record);
    assert.deepEqual([record.stream, record.partial, record.content.toString()], expected);
    assert.equal(record.time, at);
  });
}

for (const line of ["", "hello", `${at} stdout F`, `${at} stdin F x`, `${at} stdout X x`]) {
  test(`log record: ${JSON.stringify(line)} is none`, () => {
    assert.equal(parseRecord(Buffer.from(line)), undefined);
  });
}

test("log lines: cuts do not depend on where the pieces end", () => {
  const text = Buffer.from("one\n\ntwo\nthree");
  for (let cut = 0; cut <= text.length; cut++) {
    const splitter = new LineSplitter();
    const lines = [...splitter.push(text.subarray(0, cut)), ...splitter.push(text.subarray(cut))];
    assert.deepEqual(lines.map(String), ["one", "", "two"]);
    assert.equal(splitter.finish().toString(), "three");
  }
});

test("log lines: a file without newlines is given out in pieces", () => {
  const splitter = new LineSplitter();
  const piece = Buffer.alloc(1024 * 1024, "x");
  const lines = Array.from({ length: 9 }, () => splitter.push(piece)).flat();
  assert.ok(lines.length >= 1);
  const bytes = lines.reduce((sum, line) => sum + line.length, splitter.finish().length);
  assert.equal(bytes, 9 * piece.length);
});

function inFolder(work: (path: string, folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "berth-log-"));
    try {
      await work(join(folder, "0.log"), folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

async function textFrom(path: string, offset: number): Promise<string> {
  await using file = await open(path, "r");
  return await collect(readToEnd(file, offset));
}

async function collect(chunks: AsyncIterable<Buffer>): Promise<string> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

const long = Array.from({ length: 40_000 }, (_, index) => `line ${index}\n`).join("");

for (const [name, text, count, expected] of [
  ["none of an empty file", "", 3, ""],
  ["the last two", "a\nb\nc\n", 2, "b\nc\n"],
  ["an unfinished one counts", "a\nb\nc", 2, "b\nc"],
  ["more than there are", "a\nb\n", 9, "a\nb\n"],
  ["no line", "a\nb\n", 0, ""],
  ["across blocks", long, 30_000, long.slice(long.indexOf("line 10000\n"))],
] as const) {
  test(
    `log tail: ${name}`,
    inFolder(async (path) => {
      writeFileSync(path, text);
      await using file = await open(path, "r");
      assert.equal(await textFrom(path, await offsetOfLastLines(file, count)), expected);
    }),
  );
}

test(
  "log follow: nothing is lost or doubled over two rotations, and it ends with the container",
  inFolder(async (path) => {
    const expected: string[] = [];
    let ended = false;
    let writer = openSync(path, "a");
    const write = (text: string): void => {
      expected.push(text);
      appendFileSync(writer, text);
    };
    const rotate = async (suffix: number): Promise<void> => {
      renameSync(path, `${path}.${suffix}`);
      write("after the rename\n");
      await sleep(30);
      closeSync(writer);
      writer = openSync(path, "a");
    };
    const work = async (): Promise<void> => {
      for (let round = 0; round < 3; round++) {
        for (let line = 0; line < 20; line++) {
          write(`round ${round} line ${line}\n`);
          await sleep(2);
        }
        if (round < 2) {
          await rotate(round);
          // As between two rotations of a kubelet, the reader gets its turn.
          await sleep(600);
        }
      }
      ended = true;
    };
    write("before\n");
    const [text] = await Promise.all([
      collect(
        follow(path, { offset: 0, ended: () => Promise.resolve(ended), signal: AbortSignal.timeout(20_000) }),
      ),
      work(),
    ]);
    closeSync(writer);
    assert.equal(text, expected.join(""));
  }),
);

test(
  "log follow: ends at once where its caller gives up",
  inFolder(async (path) => {
    writeFileSync(path, "x\n");
    const signal = AbortSignal.timeout(50);
    const reading = collect(follow(path, { offset: 0, ended: () => Promise.resolve(false), signal }));
    await assert.rejects(reading, { name: "TimeoutError" });
  }),
);
