import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let hooks: string;

before(async () => {
  world = bed.use(await World.create());
  hooks = join(world.folder, "hooks.d");
  await mkdir(hooks);
  daemon = bed.use(await TestDaemon.start(world, { flags: ["--hooks-dirs", `/no/such,${hooks}`] }));
  await makeTestImage(daemon);
  // The first pod makes the bridge, which stays.
  await using _first = await TestPod.run(daemon);
});

after(() => bed.disposeAsync());

/** A hook that appends its stage, what it was told and what it sees of the root to a file. */
async function writeHook(name: string, stages: readonly string[], when: object): Promise<string> {
  const told = join(world.folder, `${name}.told`);
  const script = `state=$(cat); echo "$state" >>${told}`;
  const hook = { path: "/bin/sh", args: ["sh", "-c", script], timeout: 10 };
  await writeFile(join(hooks, `${name}.json`), JSON.stringify({ version: "1.0.0", hook, when, stages }));
  return told;
}

/** The states that a hook was told of, each on a line. */
async function statesOf(told: string): Promise<readonly { readonly id: string; readonly status: string }[]> {
  const text = await readFile(told, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { id: string; status: string });
}

test("hooks: at each stage with the OCI state, for the containers that are meant, and nothing stays", async () => {
  const clean = await leftovers(world);
  const early = await writeHook("early", ["prestart", "createRuntime"], {
    annotations: { "^use$": "^yes$" },
  });
  const late = await writeHook("late", ["poststart", "poststop"], {
    commands: ["^/bin/sh$"],
    hasBindMounts: false,
  });
  {
    await using pod = await TestPod.run(daemon, { annotations: { use: "yes" } });
    const { id } = await pod.finish("true");
    assert.deepEqual(
      await statesOf(early),
      (await statesOf(early)).map((state) => ({ ...state, id })),
    );
    assert.equal((await statesOf(early)).length, 2);
    const ended = await eventually(async () => {
      const states = await statesOf(late);
      return states.length === 2 ? states : undefined;
    }, "the hook after the end");
    assert.deepEqual(
      ended.map((state) => state.id),
      [id, id],
    );
    // So short a container ends before the hook of its start has written.
    assert.ok(ended.some((state) => state.status === "stopped"));
  }
  await using other = await TestPod.run(daemon);
  await other.finish("true", { mounts: [{ container_path: "/m", host_path: world.folder }] });
  assert.equal((await statesOf(early)).length, 2, "without the annotation");
  assert.equal((await statesOf(late)).length, 2, "with a mount of the node");
  await rm(join(hooks, "early.json"));
  await rm(join(hooks, "late.json"));
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: other.id });
  assert.deepEqual(await leftovers(world), clean);
});

test("hooks: one that fails keeps the container from being made", async () => {
  await using pod = await TestPod.run(daemon);
  const clean = await leftovers(world);
  const path = join(hooks, "failing.json");
  const hook = { path: "/bin/sh", args: ["sh", "-c", "echo not today >&2; exit 3"] };
  await writeFile(
    path,
    JSON.stringify({ version: "1.0.0", hook, when: { always: true }, stages: ["createRuntime"] }),
  );
  await assert.rejects(pod.create("true"), /not today|exit.*3|status 3/);
  await rm(path);
  assert.deepEqual(await leftovers(world), clean);
  await pod.output("true");
});

test("hooks: a start in the midst of one when the daemon dies is known to the next daemon, which kills nothing", async () => {
  await using pod = await TestPod.run(daemon);
  const path = join(hooks, "slow.json");
  const hook = { path: "/bin/sh", args: ["sh", "-c", "sleep 2"] };
  await writeFile(
    path,
    JSON.stringify({ version: "1.0.0", hook, when: { always: true }, stages: ["startContainer"] }),
  );
  const container_id = await pod.create("exec sleep 1000");
  await rm(path);
  const starting = daemon.runtime.StartContainer({ container_id }).catch(() => undefined);
  await sleep(500);
  await daemon.end("SIGKILL");
  await starting;
  await daemon.restart();
  assert.equal((await statusOf(daemon, container_id)).state, "CONTAINER_RUNNING");
  assert.equal((await execSync(daemon, container_id, "echo", "here")).stdout, "here\n");
});

for (const [what, content, mode, message] of [
  ["is no JSON", "{", "600", /no JSON/],
  [
    "says nothing of when",
    '{"version":"1.0.0","hook":{"path":"/x"},"when":{},"stages":["prestart"]}',
    "600",
    /when: says nothing/,
  ],
  ["others may write", "{}", "622", /may write it/],
] as const) {
  test(`hooks: a file that ${what} fails the container by its name`, async () => {
    await using pod = await TestPod.run(daemon);
    const path = join(hooks, "bad.json");
    await writeFile(path, content);
    await world.must("chmod", mode, path);
    await assert.rejects(pod.create("true"), (error: { code: number; details: string }) => {
      assert.equal(error.code, 9);
      assert.match(error.details, message);
      assert.ok(error.details.includes(path), error.details);
      return true;
    });
    await rm(path);
  });
}
