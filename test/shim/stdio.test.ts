import "./isolated.ts";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isAlive, until } from "./evidence.ts";
import { TestHost, logLinesOf, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

test("log: both streams, in the CRI's format, and what has no newline", async () => {
  const { lines } = await host.sh("echo one; sleep 0.05; echo two >&2; sleep 0.05; printf three");
  assert.deepEqual(lines, ["stdout F one", "stderr F two", "stdout F three"]);
});

test("log: every line has a time of its own in RFC 3339 with nine digits", async () => {
  const before = Date.now();
  const container = await host.create(["sh", "-c", "echo a; sleep 0.05; echo b"]);
  await container.shim.start(wait);
  await container.exit;
  const times = readFileSync(container.logPath, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
  for (const time of times) {
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.ok(Date.parse(time) >= before - 1 && Date.parse(time) <= Date.now() + 1);
  }
  assert.ok((times[0] ?? "") < (times[1] ?? ""));
});

test("log: a line over 16 KiB is split, and can be put together again", async () => {
  const { lines } = await host.sh("head -c 40000 /dev/zero | tr '\\0' x; echo; echo end");
  assert.deepEqual(
    lines.map((line) => [line.slice(0, 8), line.length - 9]),
    [
      ["stdout P", 16384],
      ["stdout P", 16384],
      ["stdout F", 40000 - 2 * 16384],
      ["stdout F", 3],
    ],
  );
});

test("log: 20 MB arrive whole and in order while the container runs on", async () => {
  const { record, lines } = await host.sh("seq 1 2500000");
  assert.equal(record.exitCode, 0);
  assert.equal(lines.length, 2_500_000);
  const digest = createHash("sha256");
  for (const line of lines) digest.update(`${line.slice(9)}\n`);
  const expected = createHash("sha256");
  for (let number = 1; number <= 2_500_000; number++) expected.update(`${number}\n`);
  assert.equal(digest.digest("hex"), expected.digest("hex"));
});

test("log: reopened while it is written, the new file exists before the answer, no line lost or torn", async () => {
  const container = await host.create([
    "sh",
    "-c",
    "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done",
  ]);
  await container.shim.start(wait);
  const rotated: string[] = [];
  for (let turn = 0; turn < 5; turn++) {
    const old = `${container.logPath}.${turn}`;
    renameSync(container.logPath, old);
    rotated.push(old);
    try {
      await container.shim.reopenLog(wait);
    } catch {
      break;
    }
    assert.ok(existsSync(container.logPath));
  }
  await container.exit;
  await container.shim.closed;
  const files = existsSync(container.logPath) ? [...rotated, container.logPath] : rotated;
  const numbers = files.flatMap((file) => logLinesOf(file)).map((line) => Number(line.slice(9)));
  assert.deepEqual(
    numbers,
    Array.from({ length: 20_000 }, (_, index) => index + 1),
  );
});

test("log: reopened on request when the file is gone, and refused where it cannot be made", async () => {
  const container = await host.create(["sh", "-c", "echo a; read line; echo b"], {
    request: { stdin: "open" },
  });
  await container.shim.start(wait);
  await until(() => container.logLines().length === 1, "the first line");
  renameSync(container.logPath, `${container.logPath}.1`);
  mkdirSync(container.logPath);
  await assert.rejects(container.shim.reopenLog(wait), {
    message: `open ${container.logPath}: is a directory`,
  });
  renameSync(container.logPath, `${container.logPath}.folder`);
  await container.shim.reopenLog(wait);
  const session = await container.shim.attach({ stdin: true, stdout: false, stderr: false }, {}, wait);
  await session.writeStdin(Buffer.from("go\n"));
  await container.exit;
  await container.shim.closed;
  assert.deepEqual(container.logLines(), ["stdout F b"]);
});

test("attach: input goes in, output comes out and into the log; open-once closes with its first client", async () => {
  const container = await host.create(["cat"], { request: { stdin: "open-once" } });
  await container.shim.start(wait);
  let seen = "";
  const session = await container.shim.attach(
    { stdin: true, stdout: true, stderr: true },
    { onStdout: (bytes) => void (seen += bytes.toString()) },
    wait,
  );
  await session.writeStdin(Buffer.from("hello\n"));
  await until(() => seen === "hello\n", "the echo");
  session.close();
  assert.equal((await container.exit).exitCode, 0);
  await container.shim.closed;
  assert.deepEqual(container.logLines(), ["stdout F hello"]);
});

test("attach: with open, input outlives its client; closed has none", async () => {
  const container = await host.create(["sh", "-c", "read a; read b; echo $a $b"], {
    request: { stdin: "open" },
  });
  await container.shim.start(wait);
  for (const word of ["one", "two"]) {
    const session = await container.shim.attach({ stdin: true, stdout: false, stderr: false }, {}, wait);
    await session.writeStdin(Buffer.from(`${word}\n`));
    session.close();
  }
  await container.exit;
  await container.shim.closed;
  assert.deepEqual(container.logLines(), ["stdout F one two"]);
  const { record } = await host.sh("read a");
  assert.equal(record.exitCode, 1);
});

test("attach: a client that does not read is cut off, the container and its log go on", async () => {
  const container = await host.create(
    ["sh", "-c", "read go; head -c 8000000 /dev/zero | tr '\\0' x; echo; echo end"],
    {
      request: { stdin: "open" },
    },
  );
  await container.shim.start(wait);
  const stuck = await container.shim.attach(
    { stdin: true, stdout: true, stderr: true },
    { onStdout: () => new Promise(() => undefined) },
    wait,
  );
  await stuck.writeStdin(Buffer.from("\n"));
  assert.equal((await container.exit).exitCode, 0);
  await container.shim.closed;
  const lines = container.logLines();
  assert.equal(lines.at(-1), "stdout F end");
  assert.equal(
    lines.slice(0, -1).reduce((sum, line) => sum + line.length - 9, 0),
    8_000_000,
  );
  stuck.close();
});

test("tty: a terminal of the asked-for size, resized, its output is stdout, hang-up at the end", async () => {
  const container = await host.create(["sh", "-c", "tty; stty size; read go; stty size; echo error >&2"], {
    process: { terminal: true, consoleSize: { height: 30, width: 100 } },
    request: { stdin: "open" },
  });
  await container.shim.start(wait);
  await until(() => container.logLines().length >= 2, "the first lines");
  await container.shim.resize(50, 120, wait);
  let seen = "";
  const session = await container.shim.attach(
    { stdin: true, stdout: true, stderr: false },
    { onStdout: (bytes) => void (seen += bytes.toString()) },
    wait,
  );
  await session.writeStdin(Buffer.from("go\n"));
  assert.equal((await container.exit).exitCode, 0);
  await container.shim.closed;
  assert.deepEqual(container.logLines(), [
    "stdout F /dev/pts/0\r",
    "stdout F 30 100\r",
    "stdout F go\r",
    "stdout F 50 120\r",
    "stdout F error\r",
  ]);
  assert.match(seen, /50 120\r\nerror\r\n$/);
});

test("log: none where none was asked for, and the container is not held up", async () => {
  const container = await host.create(["sh", "-c", "head -c 1000000 /dev/zero; exit 3"], {
    request: { log: undefined } as never,
  });
  await container.shim.start(wait);
  assert.equal((await container.exit).exitCode, 3);
  assert.equal(existsSync(container.logPath), false);
});

test("log: a descendant that holds the output open does not keep the shim", async () => {
  const container = await host.create(["sh", "-c", "setsid sleep 1000 & echo parent; exit 0"]);
  await container.shim.start(wait);
  assert.equal((await container.exit).exitCode, 0);
  await container.shim.closed;
  await until(() => !isAlive(container.created.shimPid), "the shim ends");
  assert.deepEqual(container.logLines(), ["stdout F parent"]);
  assert.ok(existsSync(join(container.folder, "log")));
});
