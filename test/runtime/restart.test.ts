import assert from "node:assert/strict";
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { streamOf, TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, statusOf, untilExited } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  // The first pod makes the bridge, which stays.
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
});

after(() => bed.disposeAsync());

/** Bytes that a careless store or log would change. */
const hostile = {
  labels: { "a/b.c": "é ☃ \u2028", "": "empty key", quote: "\"'\\", newline: "a\nb\u0000c" },
  annotations: { big: "x".repeat(300), __proto__x: "1", constructor: "2", "\ud83d\ude00": "\u001b[31m" },
};

/** The only process of a name in the world. */
/** Of several the oldest: what the launcher forks has its name for a moment. */
async function pidOf(name: string): Promise<string> {
  return (await world.must("pgrep", "-ox", name)).trim();
}

/** Ends whatever a test is about; the daemon is up again when it returns. */
const endings = {
  "SIGTERM of the daemon": async () => {
    await daemon.end("SIGTERM");
    await daemon.restart();
  },
  "kill -9 of the daemon": async () => {
    await daemon.end("SIGKILL");
    await daemon.restart();
  },
  "kill -9 of the launcher": async () => {
    await world.must("kill", "-9", await pidOf("berth-launcher"));
  },
  "kill -9 of both": async () => {
    await world.must("kill", "-9", await pidOf("berth-launcher"));
    await daemon.end("SIGKILL");
    await daemon.restart();
  },
};

for (const [what, happen] of Object.entries(endings)) {
  test(`restart: ${what} leaves containers running, listed as before`, async () => {
    const clean = await leftovers(world);
    {
      await using pod = await TestPod.run(daemon, hostile);
      await using shared = await TestPod.withNamespaces(daemon, { pid: "POD" });
      const running = await pod.start("trap 'exit 9' TERM; touch /ready; sleep 1000 & wait", hostile);
      await untilTrapped(running);
      const sharing = await shared.start("exec sleep 1000");
      const created = await pod.create("echo at last; exit 3");
      const ended = await pod.finish("exit 4");
      const look = async (): Promise<unknown> => ({
        pods: await daemon.runtime.ListPodSandbox({}),
        containers: await daemon.runtime.ListContainers({}),
        pod: (await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id })).status,
        statuses: await Promise.all([running, sharing, created, ended.id].map((id) => statusOf(daemon, id))),
      });
      const earlier = await look();
      await happen();
      assert.deepEqual(await look(), earlier);
      for (const id of [running, sharing]) {
        assert.equal((await execSync(daemon, id, "echo", "still here")).stdout, "still here\n");
      }
      await daemon.runtime.StartContainer({ container_id: created });
      assert.equal((await untilExited(daemon, created)).exit_code, 3);
      await daemon.runtime.StopContainer({ container_id: running, timeout: 10 });
      assert.equal((await statusOf(daemon, running)).exit_code, 9);
      assert.equal(await pod.output("echo new"), "new\n");
    }
    assert.deepEqual(await leftovers(world), clean);
  });
}

test("restart: exits that happened meanwhile are known with code, signal and time", async () => {
  await using pod = await TestPod.run(daemon);
  const wait = "while [ ! -e /go/now ]; do sleep 0.05; done;";
  await world.must("mkdir", "-p", join(world.folder, "go"));
  const mounts = [{ container_path: "/go", host_path: join(world.folder, "go") }];
  const coded = await pod.start(`${wait} echo last words; exit 42`, { mounts });
  const killed = await pod.start(`${wait} echo $$; exec sleep 1000`, { mounts });
  const fromNode = await eventually(async () => {
    const pids = await world.run("pgrep", ["-f", "exec sleep 1000"]);
    return pids.stdout === "" ? undefined : pids.stdout.trim();
  }, "the container's process");
  await daemon.end("SIGKILL");
  const before = BigInt(Date.now()) * 1_000_000n;
  await world.must("kill", "-9", fromNode);
  await world.file("go/now", "");
  await sleep(700);
  const after = BigInt(Date.now()) * 1_000_000n;
  await daemon.restart();
  for (const [id, code] of [
    [coded, 42],
    [killed, 137],
  ] as const) {
    const status = await statusOf(daemon, id);
    assert.equal(status.state, "CONTAINER_EXITED");
    assert.equal(status.exit_code, code);
    assert.equal(status.reason, "Error");
    assert.ok(
      BigInt(status.finished_at) >= before && BigInt(status.finished_at) <= after,
      status.finished_at,
    );
    assert.ok(BigInt(status.started_at) > 0n && BigInt(status.started_at) < before);
  }
  assert.equal(
    streamOf(await readFile((await statusOf(daemon, coded)).log_path, "utf8"), "stdout"),
    "last words\n",
  );
});

test("restart: the log of a container that prints all the time loses and tears no line", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start(
    `i=0; trap 'echo end $i; exit 0' TERM; while :; do echo line $i; i=$((i+1)); [ $((i % 500)) = 0 ] && sleep 0.01; done`,
  );
  for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
    await sleep(200);
    await daemon.end(signal);
    await sleep(200);
    await daemon.restart();
  }
  await daemon.runtime.StopContainer({ container_id: id, timeout: 10 });
  const status = await statusOf(daemon, id);
  assert.equal(status.exit_code, 0);
  const lines = (await readFile(status.log_path, "utf8")).trimEnd().split("\n");
  const last = lines.pop() ?? "";
  lines.forEach((line, index) => {
    if (!/^\d{4}-\d\d-\d\dT\S+ stdout F line \d+$/.test(line) || !line.endsWith(` line ${index}`)) {
      assert.fail(`line ${index} of the log is ${JSON.stringify(line)}`);
    }
  });
  assert.match(last, new RegExp(`stdout F end (${lines.length}|${lines.length - 1})$`));
  assert.ok(lines.length > 1000, String(lines.length));
});

test("restart: a shim killed with -9 leaves an exited container that says so, and nothing else", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const id = await pod.start("sleep 1000 & exec sleep 1000");
    await world.must("kill", "-9", await pidOf("berth-shim"));
    const status = await untilExited(daemon, id);
    assert.equal(status.exit_code, 255);
    assert.match(status.message, /shim/);
    assert.equal(status.reason, "Unknown");
    assert.equal((await world.run("pgrep", ["-x", "sleep"])).stdout.trim().split("\n").length, 1);
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("restart: a shim killed with -9 while no daemon is there is found out at the start", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.withNamespaces(daemon, { pid: "POD" });
    const id = await pod.start("sleep 1000 & exec sleep 1000");
    await daemon.end("SIGKILL");
    await world.must("kill", "-9", await pidOf("berth-shim"));
    await daemon.restart();
    const status = await statusOf(daemon, id);
    assert.equal(status.state, "CONTAINER_EXITED");
    assert.match(status.message, /shim/);
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("restart: a pod whose reaper was killed is not ready after a restart, and can be removed", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.withNamespaces(daemon, { pid: "POD" });
    const id = await pod.start("exec sleep 1000");
    await daemon.end("SIGKILL");
    await world.must("kill", "-9", await pidOf("berth-reaper"));
    await daemon.restart();
    const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
    assert.equal(status?.state, "SANDBOX_NOTREADY");
    assert.equal((await untilExited(daemon, id)).exit_code, 137);
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("restart: a daemon of a newer build takes over shims of the older one and replaces the launcher", async () => {
  const newer = await copyOfBuild();
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const old = await pod.start("trap 'exit 7' TERM; touch /ready; sleep 1000 & wait");
    await untilTrapped(old);
    const launcher = await pidOf("berth-launcher");
    await daemon.end("SIGTERM");
    await daemon.restart(newer);
    assert.notEqual(await pidOf("berth-launcher"), launcher);
    assert.equal((await execSync(daemon, old, "echo", "served")).stdout, "served\n");
    const fresh = await pod.start("exec sleep 1000");
    await daemon.end("SIGKILL");
    await daemon.restart(join(import.meta.dirname, "../../dist/main.js"));
    assert.equal((await execSync(daemon, fresh, "echo", "served")).stdout, "served\n");
    await daemon.runtime.StopContainer({ container_id: old, timeout: 10 });
    assert.equal((await statusOf(daemon, old)).exit_code, 7);
  }
  assert.deepEqual(await leftovers(world), clean);
});

/** A container's shell has set its trap: a signal sent earlier would simply end it. */
async function untilTrapped(id: string): Promise<void> {
  await execSync(daemon, id, "sh", "-c", "until [ -e /ready ]; do sleep 0.01; done");
}

/** A build whose shim program differs by a comment: its build id is another one. */
async function copyOfBuild(): Promise<string> {
  const project = join(import.meta.dirname, "../..");
  const copy = join(world.folder, "newer");
  await cp(join(project, "dist"), join(copy, "dist"), { recursive: true });
  for (const name of ["node_modules", "api", "package.json"]) {
    await symlink(join(project, name), join(copy, name));
  }
  const bundle = join(copy, "dist/shim/berth-shim.lua");
  await writeFile(bundle, `${await readFile(bundle, "utf8")}\n-- a newer build\n`);
  return join(copy, "dist/main.js");
}

test("restart: a second daemon on the same store or socket is refused and disturbs nobody", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("exec sleep 1000");
  const launcher = await pidOf("berth-launcher");
  const at = (name: string): string => join(world.folder, name);
  for (const [flags, message] of [
    [[], /^berthd: .*berth\.sock is served by another process$/m],
    [
      ["--root", at("second"), "--state", "/run/second"],
      /^berthd: .*berth\.sock is served by another process$/m,
    ],
    [
      ["--socket", at("second.sock"), "--state", "/run/second"],
      /^berthd: .*root\/store is in use by another berthd$/m,
    ],
    [
      ["--socket", at("second.sock"), "--root", at("second")],
      /^berthd: \/run\/berth is in use by another berthd$/m,
    ],
  ] as const) {
    const { status, stderr } = await TestDaemon.refuse(world, flags);
    assert.equal(status, 1, stderr);
    assert.match(stderr, message);
  }
  assert.equal(await pidOf("berth-launcher"), launcher);
  assert.equal((await execSync(daemon, id, "echo", "undisturbed")).stdout, "undisturbed\n");
});
