import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon } from "../harness/daemon.ts";
import { streamOf, TestPod } from "../harness/pod.ts";
import { eventually, makeTestImage, statusOf, untilExited } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** RFC 3339 with nanoseconds, the stream, whole or partial, the content. */
const line = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP]) (.*)$/s;

interface LogLine {
  readonly time: string;
  readonly stream: string;
  readonly tag: string;
  readonly content: string;
}

/** Every line of a log; throws at one that is not in the CRI's format. */
async function linesOf(path: string): Promise<readonly LogLine[]> {
  const text = await readFile(path, "latin1");
  if (text === "") return [];
  assert.ok(text.endsWith("\n"), "the log ends within a line");
  return text
    .slice(0, -1)
    .split("\n")
    .map((whole) => {
      const [, time = "", stream = "", tag = "", content = ""] = line.exec(whole) ?? assert.fail(whole);
      return { time, stream, tag, content };
    });
}

test("logs: lines have time, stream, tag and content", async () => {
  await using pod = await TestPod.run(daemon);
  const before = Date.now() - 1;
  const { status } = await pod.finish("echo out; echo err >&2; echo; printf 'no end'");
  const lines = await linesOf(status.log_path);
  assert.equal(status.log_path, join(pod.config.log_directory ?? "", "c1.log"));
  const shown = lines.map(({ stream, tag, content }) => `${stream} ${tag} ${content}`);
  assert.deepEqual(
    shown.filter((text) => text.startsWith("stderr")),
    ["stderr F err"],
  );
  assert.deepEqual(
    shown.filter((text) => text.startsWith("stdout")),
    [
      "stdout F out",
      "stdout F ",
      // Of a line that has no end nobody knows that it is whole.
      shown.at(-1)?.startsWith("stdout P") === true ? "stdout P no end" : "stdout F no end",
    ],
  );
  for (const { time } of lines) {
    assert.ok(Date.parse(time) >= before && Date.parse(time) <= Date.now(), time);
  }
});

test("logs: a line longer than 16 KiB is split, its pieces put together are the line", async () => {
  await using pod = await TestPod.run(daemon);
  const { status } = await pod.finish("head -c 40000 /dev/zero | tr '\\0' x; echo; echo after");
  const lines = await linesOf(status.log_path);
  assert.deepEqual(
    lines.map(({ tag, content }) => [tag, content.length]),
    [
      ["P", 16384],
      ["P", 16384],
      ["F", 40000 - 2 * 16384],
      ["F", 5],
    ],
  );
});

test("logs: any byte but a line's end passes unchanged", async () => {
  await using pod = await TestPod.run(daemon);
  const { status } = await pod.finish(
    'i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %o $i)"; i=$((i+1)); done; echo',
  );
  const bytes = Array.from({ length: 256 }, (_, index) => String.fromCharCode(index)).join("");
  const lines = await linesOf(status.log_path);
  assert.deepEqual(
    lines.map(({ content }) => content),
    bytes.split("\n"),
  );
});

test("logs: a fast writer on both streams loses nothing, in order on each", async () => {
  await using pod = await TestPod.run(daemon);
  const many = "seq 1 50000";
  const { status } = await pod.finish(`${many} & ${many} >&2; wait`);
  const log = await readFile(status.log_path, "utf8");
  const expected = Array.from({ length: 50_000 }, (_, index) => `${index + 1}\n`).join("");
  assert.equal(streamOf(log, "stdout"), expected);
  assert.equal(streamOf(log, "stderr"), expected);
});

test("logs: after a rename reopening makes the file at once, and no line is lost between both", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start(
    "i=0; trap 'exit 0' TERM; while :; do echo line $i; i=$((i+1)); [ $((i % 200)) = 0 ] && sleep 0.01; done",
  );
  const { log_path } = await statusOf(daemon, id);
  const rotated: string[] = [];
  for (let turn = 0; turn < 5; turn++) {
    await sleep(100);
    rotated.push(`${log_path}.${turn}`);
    await rename(log_path, `${log_path}.${turn}`);
    await daemon.runtime.ReopenContainerLog({ container_id: id });
    assert.ok(existsSync(log_path), "the fresh file is there");
  }
  await sleep(100);
  await daemon.runtime.StopContainer({ container_id: id, timeout: 10 });
  const parts = await Promise.all([...rotated, log_path].map(linesOf));
  for (const part of parts) assert.notEqual(part.length, 0);
  parts.flat().forEach(({ content }, index) => {
    assert.equal(content, `line ${index}`);
  });
});

test("logs: reopening makes a file that was deleted again", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("sleep 0.3; echo after; exec sleep 1000");
  const { log_path } = await statusOf(daemon, id);
  await world.must("rm", log_path);
  await daemon.runtime.ReopenContainerLog({ container_id: id });
  await eventually(async () => ((await linesOf(log_path)).length > 0 ? true : undefined), "a line");
  assert.deepEqual(
    (await linesOf(log_path)).map(({ content }) => content),
    ["after"],
  );
});

test("logs: where reopening fails there is an error, no file, and the old one goes on", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("trap 'echo end; exit 0' TERM; echo begin; sleep 1000 & wait");
  const { log_path } = await statusOf(daemon, id);
  await eventually(async () => ((await linesOf(log_path)).length > 0 ? true : undefined), "a line");
  const folder = pod.config.log_directory ?? "";
  await rename(folder, `${folder}.moved`);
  await assert.rejects(daemon.runtime.ReopenContainerLog({ container_id: id }), new RegExp(log_path));
  assert.equal(existsSync(log_path), false);
  await rename(`${folder}.moved`, folder);
  await daemon.runtime.StopContainer({ container_id: id, timeout: 10 });
  assert.deepEqual(
    (await linesOf(log_path)).map(({ content }) => content),
    ["begin", "end"],
  );
});

test("logs: only that of a running container can be reopened", async () => {
  await using pod = await TestPod.run(daemon);
  const { id } = await pod.finish("true");
  await assert.rejects(daemon.runtime.ReopenContainerLog({ container_id: id }), {
    code: 9,
    message: new RegExp(id),
  });
  const unknown = "c".repeat(64);
  await assert.rejects(daemon.runtime.ReopenContainerLog({ container_id: unknown }), { code: 5 });
});

test("logs: a terminal's output is all stdout", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("echo out; echo err >&2", { tty: true });
  const { log_path } = await untilExited(daemon, id);
  const lines = await linesOf(log_path);
  assert.deepEqual(
    lines.map(({ stream, content }) => [stream, content.trimEnd()]),
    [
      ["stdout", "out"],
      ["stdout", "err"],
    ],
  );
});

test("logs: missing folders are made; the file is root's and others cannot write it", async () => {
  await using pod = await TestPod.run(daemon);
  const { status } = await pod.finish("echo x", { log_path: "deep/er/0.log" });
  assert.equal(status.log_path, join(pod.config.log_directory ?? "", "deep/er/0.log"));
  const { mode, uid } = await stat(status.log_path);
  assert.equal(uid, 0);
  assert.equal(mode & 0o022, 0);
});

test("logs: a container without a log path runs, and its output goes nowhere", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("seq 1 100000; exit 3", { log_path: "" });
  const status = await untilExited(daemon, id);
  assert.equal(status.exit_code, 3);
  assert.equal(status.log_path, "");
});

for (const log_path of ["../escape.log", "/etc/absolute.log", "a/../../x"]) {
  test(`logs: the path ${log_path} is refused`, async () => {
    await using pod = await TestPod.run(daemon);
    await assert.rejects(pod.create("true", { log_path }), { code: 3, message: /log_path/ });
  });
}

test("logs: a symlink in the place of the log is not followed", async () => {
  await using pod = await TestPod.run(daemon);
  const victim = await world.file("victim", "untouched\n");
  const folder = pod.config.log_directory ?? "";
  await world.must("mkdir", "-p", folder);
  await world.must("ln", "-s", victim, join(folder, "c1.log"));
  await pod.finish("echo attack").catch(() => undefined);
  assert.equal(await readFile(victim, "utf8"), "untouched\n");
});
