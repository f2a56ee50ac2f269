import assert from "node:assert/strict";
import { readFile, rename, stat } from "node:fs/promises";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { streamOf, TestPod } from "../harness/pod.ts";
import { eventually, makeTestImage, statusOf, untilExited } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const rotations = 20;
const ceilingBytes = 1024 * 1024;
/** What is to be in a file before it is rotated, so that each rotation meets a container that writes. */
const leastFileBytes = 256 * 1024;

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** Numbered lines on a stream, at tens of MB/s, until /end exists. */
function writer(padding: number, redirection: string): string {
  const linesAtOnce = Math.ceil(2_000_000 / padding);
  const pause = `if ((getline line < "/end") >= 0) exit; system("sleep 0.01")`;
  const program =
    `BEGIN { pad = sprintf("%0${padding}d", 0); ` +
    `for (i = 0; ; i++) { if (i % ${linesAtOnce} == 0) { ${pause} } printf "%d %s\\n", i, pad } }`;
  return `awk '${program}' ${redirection}`;
}

/**
 * Rotates a container's log again and again as the kubelet does: rename, reopen; what it then compresses is the renamed
 * file, so that is read at once and never looked at again. Ends the container by /end; the files in order.
 */
async function rotate(of: TestDaemon, id: string): Promise<readonly string[]> {
  const { log_path } = await statusOf(of, id);
  const parts: string[] = [];
  for (let turn = 0; turn < rotations; turn++) {
    await eventually(async () => ((await stat(log_path)).size > leastFileBytes ? true : undefined), "lines");
    const rotated = `${log_path}.rotated`;
    await rename(log_path, rotated);
    await of.runtime.ReopenContainerLog({ container_id: id });
    parts.push(await readFile(rotated, "latin1"));
  }
  await of.runtime.ExecSync({ container_id: id, cmd: ["touch", "/end"], timeout: 30 });
  await untilExited(of, id);
  return [...parts, await readFile(log_path, "latin1")];
}

/** That a stream holds the lines 0, 1, 2, … with their padding; how many. */
function assertNumbered(text: string, padding: number): number {
  const lines = text.split("\n");
  assert.equal(lines.pop(), "", "the stream ends with a whole line");
  const pad = "0".repeat(padding);
  lines.forEach((line, index) => {
    if (line !== `${index} ${pad}`) assert.fail(`line ${index} is ${JSON.stringify(line.slice(0, 100))}`);
  });
  return lines.length;
}

test("log rotation: 20 times under load, on both streams no line is lost, torn or out of order", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start(`${writer(400, "")} & ${writer(90, ">&2")} & wait`);
  const parts = await rotate(daemon, id);
  for (const part of parts) assert.ok(part.endsWith("\n"), "a file ends within a line");
  const whole = parts.join("");
  assert.ok(assertNumbered(streamOf(whole, "stdout"), 400) > 0);
  assert.ok(assertNumbered(streamOf(whole, "stderr"), 90) > 0);
  assert.equal(whole.includes("berth:"), false, "nothing is missing");
});

test("log rotation: a line of many parts goes on in the next file", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start(writer(100_000, ""));
  const parts = await rotate(daemon, id);
  const tornBetween = parts.filter((part) => / stdout P [^\n]*\n$/.test(part));
  assert.ok(tornBetween.length > 0, "no rotation met a line in the middle");
  assert.ok(assertNumbered(streamOf(parts.join(""), "stdout"), 100_000) > 0);
});

test("log ceiling: what goes beyond is dropped, counted and said, also over a daemon's death", async () => {
  await using small = await World.create();
  await using here = await TestDaemon.start(small, {
    flags: ["--max-log-bytes-between-rotations", String(ceilingBytes)],
  });
  await makeTestImage(here);
  await using pod = await TestPod.run(here);
  const lines = 40_000;
  const id = await pod.start(
    `seq 1 ${lines}; touch /wrote; while ! [ -e /go ]; do sleep 0.05; done; echo after; exec sleep 1000`,
  );
  const inContainer = async (...cmd: readonly string[]): Promise<number> =>
    (await here.runtime.ExecSync({ container_id: id, cmd: [...cmd], timeout: 30 })).exit_code;
  // It gets to its end: nothing holds it back.
  await eventually(async () => ((await inContainer("test", "-e", "/wrote")) === 0 ? true : undefined), "all");
  const { log_path } = await statusOf(here, id);
  const loss = await eventually(async () => {
    const { info } = await here.runtime.ContainerStatus({ container_id: id, verbose: true });
    const { log } = JSON.parse(info["info"] ?? "{}") as {
      log: { path: string; droppedLines: number; droppedBytes: number };
    };
    const written = (await readFile(log_path, "utf8")).match(/ stdout F /g)?.length ?? 0;
    return written + log.droppedLines === lines ? log : undefined;
  }, "every line to be written or counted");
  assert.equal(loss.path, log_path);
  const full = await readFile(log_path, "utf8");
  assert.ok(full.length <= ceilingBytes, `${full.length} bytes`);
  assert.match(
    full,
    /stderr F berth: this log reached its ceiling of 1048576 bytes, lines are dropped until/,
  );

  await here.end("SIGKILL");
  await here.restart();
  await rename(log_path, `${log_path}.1`);
  await here.runtime.ReopenContainerLog({ container_id: id });
  await inContainer("touch", "/go");
  const fresh = await eventually(async () => {
    const text = await readFile(log_path, "utf8");
    return text.includes("stdout F after") ? text : undefined;
  }, "a line in the fresh file");
  assert.match(
    fresh,
    new RegExp(
      `^\\S+ stderr F berth: ${loss.droppedLines} lines \\(${loss.droppedBytes} bytes\\) of this log are missing here: ` +
        `its ceiling was reached\\n\\S+ stdout F after\\n$`,
    ),
  );
});
