import "./isolated.ts";
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "./evidence.ts";
import { type TestContainer, TestHost, logLinesOf, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const all = { stdin: true, stdout: true, stderr: true };

test("log: streams apart, times that rise, long lines split at 16 KiB and tagged", async () => {
  const container = await host.create(["sh", "-c", "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf unfinished"]);
  await container.shim.start(wait);
  await container.exit;
  const text = readFileSync(container.logPath, "utf8");
  for (const line of text.split("\n").slice(0, -1)) {
    assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) (stdout|stderr) [FP] /);
  }
  const stdout = container.logLines().filter((line) => line.startsWith("stdout"));
  assert.ok(container.logLines().includes("stderr F err"));
  assert.deepEqual(stdout.map((line) => line.slice(0, 9) + String(line.length - 9)), [
    "stdout F 3", "stdout P 16384", "stdout P 16384", "stdout F 7232", "stdout F 10",
  ]);
});

test("log: reopen goes on in a new file, nothing lost or torn", async () => {
  const container = await host.create(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"]);
  await container.shim.start(wait);
  for (let turn = 0; turn < 5; turn++) {
    await sleep(20);
    renameSync(container.logPath, `${container.logPath}.${turn}`);
    const reopened = await container.shim.reopenLog(wait).then(() => true, () => false);
    if (!reopened) break;
    assert.ok(existsSync(container.logPath));
  }
  await container.exit;
  const files = [0, 1, 2, 3, 4].map((turn) => `${container.logPath}.${turn}`).filter((path) => existsSync(path));
  if (existsSync(container.logPath)) files.push(container.logPath);
  const lines = files.flatMap((path) => logLinesOf(path));
  assert.deepEqual(lines, Array.from({ length: 20000 }, (_, index) => `stdout F line ${index}`));
});

test("log: whole although the daemon's connection is lost", async () => {
  const container = await host.create(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.05; done"]);
  await container.shim.start(wait);
  container.shim.close();
  await until(() => existsSync(container.recordPath) && readFileSync(container.recordPath, "utf8") !== "", "it ends");
  await until(() => container.logLines().length === 9, "the log is whole");
});

test("terminal: the container's own, with a size, logged as stdout", async () => {
  const container = await host.create(["sh", "-c", "tty; stty size; echo err >&2; sleep 0.3; stty size"], {
    process: { terminal: true, consoleSize: { height: 24, width: 77 } },
  });
  await container.shim.start(wait);
  await until(() => container.logLines().length >= 3, "output");
  await container.shim.resize(50, 132, wait);
  await container.exit;
  assert.deepEqual(container.logLines().map((line) => line.replace("\r", "")), [
    "stdout F /dev/pts/0", "stdout F 24 77", "stdout F err", "stdout F 50 132",
  ]);
});

test("terminal: /dev/console is it, and it is the controlling one", async () => {
  const { lines } = await host.sh("echo to-console > /dev/console; echo to-tty > /dev/tty; stat -c %t:%T /dev/console /dev/pts/0", {
    process: { terminal: true },
  });
  const text = lines.map((line) => line.replace("\r", "").replace("stdout F ", ""));
  assert.deepEqual(text.slice(0, 2), ["to-console", "to-tty"]);
  assert.equal(text[2], text[3]);
});

async function attached(container: TestContainer, streams = all): Promise<{ seen: { out: string }; session: Awaited<ReturnType<TestContainer["shim"]["attach"]>> }> {
  const seen = { out: "" };
  const session = await container.shim.attach(
    streams,
    { onStdout: (bytes) => void (seen.out += bytes.toString()), onStderr: (bytes) => void (seen.out += `!${bytes.toString()}`) },
    wait,
  );
  return { seen, session };
}

test("attach: several clients, each gets all output from then on; standard input stays open with `open`", async () => {
  const container = await host.create(["sh", "-c", "while read line; do echo got $line; echo e >&2; done"], { request: { stdin: "open" } });
  await container.shim.start(wait);
  const first = await attached(container);
  const second = await attached(container, { stdin: false, stdout: true, stderr: false });
  await first.session.writeStdin(Buffer.from("one\n"));
  await until(() => first.seen.out.includes("got one") && second.seen.out.includes("got one"), "both see it");
  first.session.close();
  await sleep(50);
  const third = await attached(container);
  await third.session.writeStdin(Buffer.from("two\n"));
  await until(() => second.seen.out === "got one\ngot two\n", "input after the first left");
  assert.match(third.seen.out, /got two\n/);
  assert.deepEqual(container.logLines().filter((line) => line.startsWith("stdout")), ["stdout F got one", "stdout F got two"]);
  await container.shim.delete(wait);
});

for (const how of ["half-closes", "leaves"] as const) {
  test(`attach: with \`open-once\` input ends when the client ${how}`, async () => {
    const container = await host.create(["sh", "-c", "cat; echo end"], { request: { stdin: "open-once" } });
    await container.shim.start(wait);
    const { session } = await attached(container);
    await session.writeStdin(Buffer.from("text\n"));
    await until(() => container.logLines().length === 1, "the text");
    if (how === "leaves") session.close();
    else await session.closeStdin();
    assert.equal((await container.exit).exitCode, 0);
    assert.deepEqual(container.logLines(), ["stdout F text", "stdout F end"]);
  });
}

test("attach: a client that does not read is cut off and holds nobody back", async () => {
  const container = await host.create(["sh", "-c", "sleep 0.2; head -c 30000000 /dev/zero | tr '\\0' '\\n' > /dev/stderr; echo done"], {
    request: { log: undefined as never },
  });
  await container.shim.start(wait);
  const stuck = await container.shim.attach(all, { onStderr: () => new Promise<void>(() => undefined) }, wait);
  const { record } = { record: await container.exit };
  assert.equal(record.exitCode, 0);
  await stuck.closed;
});

test("stdin: closed is the null device, and nothing holds the container", async () => {
  const { record, lines } = await host.sh("cat; readlink /proc/self/fd/0");
  assert.equal(record.exitCode, 0);
  assert.deepEqual(lines, ["stdout F /dev/null"]);
});

test("exit: told soon although somebody outside holds the output open", async () => {
  const container = await host.create(["sh", "-c", "sleep 100"]);
  await container.shim.start(wait);
  const started = performance.now();
  await container.shim.kill(9, "init", wait);
  await container.exit;
  assert.ok(performance.now() - started < 1500);
});
