import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { ContainerConfig } from "../../src/cri/types/runtime/v1/ContainerConfig.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { busyboxEntries, importImage } from "../harness/images.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, statusOf, untilExited } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

const withEntrypoint = "berth.test/entrypoint:latest";
const withStopSignal = "berth.test/stop-signal:latest";

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  const entries = await busyboxEntries();
  await importImage(daemon, withEntrypoint, entries, {
    Entrypoint: ["/bin/echo", "entry"],
    Cmd: ["cmd"],
    Env: ["FROM=image", "BOTH=image", "PATH=/bin"],
    WorkingDir: "/work/dir",
  });
  await importImage(daemon, withStopSignal, entries, { StopSignal: "SIGUSR1", Cmd: ["/bin/sh"] });
});

after(() => bed.disposeAsync());

const image = { image: withEntrypoint };

for (const [what, config, printed] of [
  ["entrypoint and cmd of the image", { command: [], args: [] }, "entry cmd\n"],
  ["arguments in place of the image's cmd", { command: [], args: ["a", "b c"] }, "entry a b c\n"],
  ["a command in place of both", { command: ["/bin/echo", "mine"], args: [] }, "mine\n"],
  ["command and arguments", { command: ["/bin/echo"], args: ["x", ""] }, "x \n"],
] as const) {
  test(`process: ${what}`, async () => {
    await using pod = await TestPod.run(daemon);
    const change = { image, command: [...config.command], args: [...config.args] } satisfies ContainerConfig;
    assert.equal(await pod.output("", change), printed);
  });
}

test("process: variables of the request win over the image's, exec has them too", async () => {
  await using pod = await TestPod.run(daemon);
  const envs = [
    { key: "BOTH", value: Buffer.from("request") },
    { key: "EMPTY", value: Buffer.from("") },
    { key: "ODD", value: Buffer.from("a=b\nc é") },
  ];
  const script = 'echo "$FROM|$BOTH|${EMPTY-unset}|$ODD|$HOME|$PATH"';
  const expected = "image|request||a=b\nc é|/|/bin\n";
  const change = { image, envs, command: ["/bin/sh", "-c", `${script}; exec sleep 1000`] };
  const id = await pod.start("", change);
  assert.equal((await execSync(daemon, id, "sh", "-c", script)).stdout, expected);
});

test("process: the working folder is the image's or the request's, and made where it is missing", async () => {
  await using pod = await TestPod.run(daemon);
  const command = ["/bin/sh", "-c", "pwd; exec sleep 1000"];
  const ofImage = await pod.start("", { image, command });
  assert.equal((await execSync(daemon, ofImage, "sh", "-c", "pwd")).stdout, "/work/dir\n");
  const asked = await pod.start("", { image, command, working_dir: "/not/there/yet" });
  assert.equal((await execSync(daemon, asked, "sh", "-c", "pwd")).stdout, "/not/there/yet\n");
});

test("process: a working folder that is a file fails with its name", async () => {
  await using pod = await TestPod.run(daemon);
  const making = pod.start("pwd", { working_dir: "/bin/busybox" });
  await assert.rejects(making, /\/bin\/busybox/);
});

test("process: an image without a command needs one", async () => {
  await using pod = await TestPod.run(daemon);
  const bare = "berth.test/bare:latest";
  await importImage(daemon, bare, await busyboxEntries());
  await assert.rejects(pod.create("", { image: { image: bare }, command: [] }), {
    code: 3,
    message: /command/,
  });
});

for (const [what, config, signal, stop_signal] of [
  ["SIGTERM", {}, "TERM", "SIGTERM"],
  ["the image's", { image: { image: withStopSignal } }, "USR1", "SIGUSR1"],
  ["the request's", { image: { image: withStopSignal }, stop_signal: "SIGQUIT" }, "QUIT", "SIGQUIT"],
] as const) {
  test(`process: the stop signal is ${what}`, async () => {
    await using pod = await TestPod.run(daemon);
    const id = await pod.start(`trap 'exit 33' ${signal}; echo ready; sleep 1000 & wait`, config);
    await untilReady(id);
    assert.equal((await statusOf(daemon, id)).stop_signal, stop_signal);
    await daemon.runtime.StopContainer({ container_id: id, timeout: 10 });
    assert.equal((await statusOf(daemon, id)).exit_code, 33);
  });
}

test("process: who ignores the stop signal is killed at the deadline, the earliest counts", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("trap 'echo signal' TERM; echo ready; while :; do sleep 0.1; done");
  await untilReady(id);
  const started = Date.now();
  await Promise.all([
    daemon.runtime.StopContainer({ container_id: id, timeout: 50 }),
    daemon.runtime.StopContainer({ container_id: id, timeout: 1 }),
  ]);
  const took = Date.now() - started;
  assert.ok(took >= 900 && took < 10_000, String(took));
  const status = await statusOf(daemon, id);
  assert.equal(status.exit_code, 137);
  const log = await readFile(status.log_path, "utf8");
  assert.equal(log.match(/F signal/g)?.length, 1, log);
});

test("process: a terminal is one, with the process in its foreground", async () => {
  await using pod = await TestPod.run(daemon);
  const script =
    "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; echo $TERM; ls -l /dev/console | cut -c1; echo err >&2";
  const id = await pod.start(script, { tty: true, stdin: true });
  const status = await untilExited(daemon, id);
  const log = await readFile(status.log_path, "utf8");
  const printed = log
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^\S+ /, "").trimEnd());
  assert.deepEqual(
    printed,
    ["/dev/pts/0", "terminal", "xterm", "c", "err"].map((line) => `stdout F ${line}`),
  );
});

test("process: standard input is empty unless it is asked for", async () => {
  await using pod = await TestPod.run(daemon);
  assert.equal(await pod.output("cat | wc -c"), "0\n");
  const id = await pod.start("cat; echo ended", { stdin: true });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await statusOf(daemon, id)).state, "CONTAINER_RUNNING");
});

test("process: exec: codes, streams, a command that is not there, a deadline that kills descendants", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("exec sleep 1000");
  const killed = await execSync(daemon, id, "sh", "-c", "kill -9 $$");
  assert.equal(killed.code, 137);
  await assert.rejects(execSync(daemon, id, "/no/such/program"), /\/no\/such\/program/);
  const slow = daemon.runtime.ExecSync({
    container_id: id,
    cmd: ["sh", "-c", "setsid sleep 8181 & sleep 8181 & (sleep 8181 &); wait"],
    timeout: 1,
  });
  await assert.rejects(slow, { code: 4 });
  await eventually(async () => {
    const { stdout } = await execSync(daemon, id, "ps", "-o", "args");
    return stdout.includes("8181") ? undefined : true;
  }, "what the command left to be killed");
  assert.equal((await statusOf(daemon, id)).state, "CONTAINER_RUNNING");
});

test("process: exec: a child that keeps the output open delays the answer a second at most", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("exec sleep 1000");
  const started = Date.now();
  const { stdout, code } = await execSync(daemon, id, "sh", "-c", "echo done; sleep 30 &");
  assert.deepEqual([stdout, code], ["done\n", 0]);
  assert.ok(Date.now() - started < 8_000);
});

for (const [what, script, least] of [
  ["stdout", "head -c 20000000 /dev/zero", [16_000_000, 0]],
  ["both streams", "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2", [8_000_000, 8_000_000]],
  ["stdout, with a word on stderr", "head -c 20000000 /dev/zero; printf why >&2", [16_000_000, 3]],
] as const) {
  test(`process: exec: output beyond a message is dropped, the command is not blocked: ${what}`, async () => {
    await using pod = await TestPod.run(daemon);
    const id = await pod.start("exec sleep 1000");
    const { stdout, stderr, exit_code } = await daemon.runtime.ExecSync({
      container_id: id,
      cmd: ["sh", "-c", `${script}; exit 5`],
      timeout: 30,
    });
    assert.equal(exit_code, 5);
    assert.ok(stdout.length >= least[0] && stderr.length >= least[1], `${stdout.length} ${stderr.length}`);
  });
}

/** Waits until a container has printed `ready`: its trap is set then. */
async function untilReady(id: string): Promise<void> {
  const { log_path } = await statusOf(daemon, id);
  await eventually(async () => {
    const log = await readFile(log_path, "utf8").catch(() => "");
    return log.includes(" ready\n") ? true : undefined;
  }, "the container to be ready");
}
