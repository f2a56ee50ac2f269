import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers, type Leftovers } from "../harness/leftovers.ts";
import { makeTestImage, testImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { Berth, ended, untilText } from "./berth.ts";

let world: World;
let daemon: TestDaemon;
let berth: Berth;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
  berth = new Berth(daemon);
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** A pod of `berth run` that stays until it is removed. */
async function running(name: string, script = "while :; do sleep 3600; done"): Promise<AsyncDisposable> {
  await berth.must("run", "--name", name, testImage, "sh", "-c", script);
  return {
    [Symbol.asyncDispose]: async () => {
      await berth.must("rmp", "--force", name);
    },
  };
}

/** A link and the last of a shim may go a moment after the answer. */
async function untilLeft(expected: Leftovers): Promise<void> {
  for (const deadline = Date.now() + 5_000; Date.now() < deadline;) {
    if (isDeepStrictEqual(await leftovers(world), expected)) return;
  }
  assert.deepEqual(await leftovers(world), expected);
}

test("berth: version and info", async () => {
  assert.match(await berth.must("version"), /^berth {3}\d+\.\d+\.\d+\nberthd {2}\d+\.\d+\.\d+, CRI v1 at /);
  const info = await berth.must("info", "--all");
  assert.match(info, /^RuntimeReady +yes$/m);
  assert.match(info, /^NetworkReady +yes$/m);
  assert.match(info, /^ {2}ok {2}clone3: /m);
  const { conditions, paths } = await berth.json<{
    conditions: unknown[];
    paths: { socket: string };
  }>("info");
  assert.equal(conditions.length, 2);
  assert.equal(paths.socket, daemon.socket);
});

test("berth: a pod from run to rmp, and no trace of it", async () => {
  // The bridge comes with the first pod, and stays.
  await (await running("first"))[Symbol.asyncDispose]();
  const before = await leftovers(world);
  const ids = await berth.json<{ pod: string; container: string; address: string }>(
    ...["run", "--name", "web", "--env", "WHO=me=you", "--label", "tier=front", testImage],
    ...["sh", "-c", "echo $WHO; echo bad >&2; exec sleep 1000"],
  );
  assert.match(ids.pod, /^[0-9a-f]{64}$/);
  assert.match(ids.address, /^10\.88\./);

  assert.match(
    await berth.must("pods"),
    new RegExp(`${ids.pod.slice(0, 13)} +berth-run +web +ready +${ids.address}`),
  );
  assert.match(
    await berth.must("ps"),
    new RegExp(`${ids.container.slice(0, 13)} +web +web +${testImage} +running`),
  );
  assert.equal(await berth.must("ps", "-q"), `${ids.container}\n`);
  assert.equal(await berth.must("pods", "-q", "-l", "tier=front"), `${ids.pod}\n`);
  assert.equal(await berth.must("pods", "-q", "-l", "tier=back"), "");
  assert.deepEqual(await berth.json("pods", "--state", "not-ready"), []);

  const log = await berth.run(["logs", "web"]);
  assert.deepEqual([log.stdout, log.stderr], ["me=you\n", "bad\n"]);
  const { info } = await berth.json<{ info: Record<string, unknown> }>("inspect", ids.container.slice(0, 6));
  assert.ok(
    Object.values(info).some((value) => typeof value === "object"),
    JSON.stringify(info),
  );

  const refused = await berth.run(["rm", "web"]);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^berth: container [0-9a-f]{13} is running: stop it first, or use --force\n$/);
  assert.equal((await berth.run(["rmp", "web"])).status, 1);

  assert.equal(await berth.must("stop", "--timeout", "0", "web"), `${ids.container}\n`);
  assert.match(await berth.must("ps", "--all"), /exited \(137\)/);
  assert.equal(await berth.must("ps", "-q"), "");
  assert.equal(await berth.must("rm", "web"), `${ids.container}\n`);
  assert.equal(await berth.must("rmp", ids.pod.slice(0, 8)), `${ids.pod}\n`);
  await untilLeft(before);
  assert.deepEqual(await readdir(join(world.folder, "root/logs")), []);
});

for (const [script, status] of [
  ["exit 0", 0],
  ["exit 42", 42],
  ["exit 255", 255],
] as const) {
  test(`berth: run --rm of ${script} ends with ${status} and leaves no pod`, async () => {
    const result = await berth.run([
      "run",
      "--rm",
      testImage,
      "sh",
      "-c",
      `echo begun; echo wrong >&2; ${script}`,
    ]);
    assert.deepEqual([result.stdout, result.stderr], ["begun\n", "wrong\n"]);
    assert.equal(result.status, status);
    assert.equal(await berth.must("pods", "-q"), "");
  });
}

test("berth: run --rm that is interrupted removes its pod", async () => {
  const child = berth.start("run", "--rm", testImage, "sh", "-c", "echo ready; exec sleep 1000");
  await untilText(child.stdout, /ready/);
  child.kill("SIGINT");
  const { status } = await ended(child);
  assert.equal(status, 130);
  assert.equal(await berth.must("pods", "-q"), "");
});

test("berth: run of a command that is not there names it and leaves no pod", async () => {
  const { status, stderr } = await berth.run(["run", testImage, "/no/such/command"]);
  assert.equal(status, 1);
  assert.match(stderr, /\/no\/such\/command/);
  assert.equal(await berth.must("pods", "-q"), "");
  assert.deepEqual(await readdir(join(world.folder, "root/logs")), []);
});

test("berth: logs follows over a rotation until the container ends", async () => {
  const script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; sleep 0.2; done";
  await using _pod = await running("talker", script);
  const child = berth.start("logs", "--follow", "talker");
  const following = ended(child);
  await untilText(child.stdout, /line 1/);
  const { status: container } = await berth.json<{ status: { id: string; log_path: string } }>(
    "inspect",
    "talker",
  );
  await rename(container.log_path, `${container.log_path}.1`);
  await daemon.runtime.ReopenContainerLog({ container_id: container.id });
  const { status, stdout } = await following;
  assert.equal(status, 0);
  assert.deepEqual(
    stdout.trim().split("\n"),
    Array.from({ length: 12 }, (_, index) => `line ${index + 1}`),
  );
  assert.ok(existsSync(container.log_path));
});

test("berth: logs --tail and --timestamps, and long lines come whole", async () => {
  const script = "echo one; head -c 40000 /dev/zero | tr '\\0' x; echo; echo three";
  await using _pod = await running("long", `${script}; sleep 1000`);
  const all = await untilLines("long", 3);
  assert.deepEqual(
    all.map((line) => line.length),
    [3, 40_000, 5],
  );
  assert.equal(await berth.must("logs", "--tail", "1", "long"), "three\n");
  assert.match(await berth.must("logs", "-t", "-n1", "long"), /^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z three\n$/);
  const records = (await berth.must("--json", "logs", "long")).trim().split("\n");
  assert.ok(records.every((line) => "stream" in (JSON.parse(line) as object)));
});

async function untilLines(name: string, count: number): Promise<string[]> {
  for (let tries = 0; tries < 100; tries++) {
    const lines = (await berth.must("logs", name)).split("\n").slice(0, -1);
    if (lines.length >= count) return lines;
  }
  throw new Error(`the log of ${name} has no ${count} lines`);
}

test("berth: a closed reader is no error", async () => {
  await using _pod = await running("flood", "yes | head -n 200000; sleep 1000");
  const child = berth.start("logs", "-f", "flood");
  await untilText(child.stdout, /y\n/);
  child.stdout?.destroy();
  const [status] = (await once(child, "exit")) as [number | null];
  assert.equal(status, 0);
});

test("berth: jobs tells what was done and what went wrong", async () => {
  await berth.run(["run", "--name", "jobless", testImage, "/no/such/command"]);
  const jobs = await berth.json<{ id: string; kind: string; state: string }[]>("jobs", "--limit", "50");
  assert.ok(jobs.some(({ kind, state }) => kind === "RunPodSandbox" && state === "done"));
  assert.match(await berth.must("jobs", "--failed"), /StartContainer|CreateContainer/);
  const one = await berth.must("jobs", jobs[0]?.id ?? "");
  assert.match(one, /^kind +\w+$/m);
  assert.match(one, /^stages$/m);
  assert.equal((await berth.run(["jobs", "nonsense"])).status, 1);
});
