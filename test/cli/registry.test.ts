import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { serveInWorld, withoutDockerRegistry } from "../harness/docker-registry.ts";
import { World } from "../harness/world.ts";
import { Berth, ended, untilText } from "./berth.ts";

const program = join(import.meta.dirname, "../harness/gated-registry.ts");

let world: World;
let daemon: TestDaemon;
let berth: Berth;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  berth = new Berth(daemon);
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** A registry whose image comes half way until `open` is called; a pull must not outlive its test, others would join it. */
async function startGated(): Promise<AsyncDisposable & { readonly host: string; readonly open: () => void }> {
  const child = world.spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
  assert.ok(child.stdout !== null);
  const [host] = (await once(child.stdout, "data")) as [Buffer];
  const open = (): void => void child.stdin?.write("\n");
  return {
    host: host.toString().trim(),
    open,
    [Symbol.asyncDispose]: async () => {
      open();
      const jobs = (): Promise<Job[]> => berth.json<Job[]>("jobs", "--active", "--kind", "PullImage");
      while ((await jobs()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    },
  };
}

/** One line up, and clear from there. */
const redrawn = "\u001b\\[1A\r\u001b\\[J";

interface Job {
  readonly id: string;
  readonly parts: readonly { readonly stage: string; readonly done_bytes: string; readonly peer: string }[];
}

beforeEach(async () => {
  const ids = (await berth.must("images", "-q")).split("\n").filter((id) => id !== "");
  for (const id of new Set(ids)) await berth.must("rmi", id);
});

test("registry: a pull shows in its job and on standard error how far each layer is", async () => {
  await using registry = await startGated();
  const { host, open } = registry;
  const pull = berth.start("pull", `${host}/app:1`);
  const result = ended(pull);
  await untilText(
    pull.stderr,
    /^sha256:[0-9a-f]{12} {2}transferring {2}[\d.]+ kB of [\d.]+ kB {2}\d+% .*127\.0\.0\.1/,
  );
  const [job] = await berth.json<Job[]>("jobs", "--active", "--kind", "PullImage");
  assert.equal(job?.parts.length, 1);
  assert.equal(job.parts[0]?.stage, "transferring");
  assert.equal(job.parts[0].peer, host);
  assert.ok(Number(job.parts[0].done_bytes) > 0);
  assert.match(
    await berth.must("jobs", "--active"),
    /PullImage .* running .* at layers, [\d.]+ kB of [\d.]+ kB$/m,
  );
  assert.match(await berth.must("jobs", job.id), /^parts\n {2}sha256:[0-9a-f]{12} {2}transferring /m);
  open();
  const { status, stdout, stderr } = await result;
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^sha256:[0-9a-f]{64}\n$/);
  const shown = await berth.must("jobs", job.id);
  assert.doesNotMatch(shown, /^parts$/m);
  assert.match(shown, /layer sha256:[0-9a-f]{64}: \d+ bytes from 127\.0\.0\.1:\d+ in /);
});

test("registry: on a terminal the layers of a pull are redrawn in place, and gone at its end", async () => {
  await using registry = await startGated();
  const { host, open } = registry;
  const pull = berth.startOnScreen("pull", `${host}/app:1`);
  const result = ended(pull);
  await untilText(pull.stdout, new RegExp(`transferring[^\\n]*\\n${redrawn}`));
  open();
  const { status, stdout } = await result;
  assert.equal(status, 0, stdout);
  assert.match(stdout, new RegExp(`${redrawn}sha256:[0-9a-f]{64}\\r?\\n$`));
});

test("registry: JSON is printed without progress", async () => {
  await using registry = await startGated();
  const { host, open } = registry;
  open();
  const { status, stdout, stderr } = await berth.run(["--json", "pull", `${host}/app:1`]);
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
  assert.equal((JSON.parse(stdout) as { image: string }).image, `${host}/app:1`);
});

test("registry: credentials by standard input or from a config.json, which are in no log and no job", async () => {
  await using registry = await startGated();
  const { host } = registry;
  const image = `${host}/private/app:1`;
  assert.equal((await berth.run(["pull", image])).status, 1);
  const given = await berth.run(["pull", "--username", "u", "--password-stdin", image], "p\n");
  assert.equal(given.status, 0, given.stderr);
  const file = join(world.folder, "config.json");
  const auth = Buffer.from("u:p").toString("base64");
  await writeFile(file, JSON.stringify({ auths: { [host]: { auth } } }));
  const pulled = await berth.run(["pull", "--docker-config", file, image]);
  assert.equal(pulled.status, 0, pulled.stderr);
  const pushed = await berth.run(["push", "--docker-config", file, image]);
  assert.equal(pushed.stdout.startsWith(`${host}/private/app@sha256:`), true, pushed.stderr);
  for (const [args, message] of [
    [["pull", "--docker-config", file, "other.example/x"], /has no credentials for other\.example/],
    [["pull", "--docker-config", `${file}.no`, image], /has no credentials for 127/],
    [["pull", "--docker-config", file, "--username", "u", image], /takes the place of --username/],
    [["push", "--username", "u", image], /belong together/],
  ] as const) {
    const { status, stderr } = await berth.run(args);
    assert.equal(status, 1);
    assert.match(stderr, message);
  }
  for (const text of [daemon.log, await berth.must("--json", "jobs")])
    assert.doesNotMatch(text, new RegExp(auth));
});

test(
  "registry: an image is named, pushed, found and fetched again",
  { skip: withoutDockerRegistry },
  async () => {
    const host = await serveInWorld(world, world.folder);
    await berth.must("image-from-host", "--name", "localhost/tools:1", "true");
    const names = await berth.must("tag", "localhost/tools:1", `${host}/team/tools:v1`);
    assert.equal(names, `localhost/tools:1\n${host}/team/tools:v1\n`);
    const pushed = (await berth.must("push", `${host}/team/tools:v1`)).trim();
    assert.match(pushed, /^127\.0\.0\.1:5000\/team\/tools@sha256:[0-9a-f]{64}$/);
    await berth.must("push", "localhost/tools:1", "--to", `${host}/other:v2`);
    assert.equal(await berth.must("search", host), `NAME\n${host}/other\n${host}/team/tools\n`);
    assert.equal(await berth.must("search", `${host}/te`), `NAME\n${host}/team/tools\n`);
    assert.equal(await berth.must("search", "--tags", `${host}/team/tools`), "TAG\nv1\n");
    const limited = await berth.run(["search", "--limit", "1", host]);
    assert.equal(limited.stdout, `NAME\n${host}/other\n`);
    assert.equal(limited.stderr, "berth: there are more than 1; see --limit\n");
    const found = await berth.json<{ entries: { name: string }[]; more: boolean }>("search", host);
    assert.deepEqual([found.entries.length, found.more], [2, false]);
    const [image] = await berth.json<{ id: string }[]>("images");
    await berth.must("rmi", image?.id ?? "");
    assert.equal(await berth.must("pull", pushed), `${image?.id ?? ""}\n`);
    const jobs = await berth.must("jobs");
    assert.match(jobs, /TagImage +localhost\/tools:1 +done/);
    assert.match(jobs, /PushImage +localhost\/tools:1 +done/);
  },
);

for (const [args, expected] of [
  [["tag", "nobody:1", "x:1"], /^berth: image nobody:1 not found\n$/],
  [["push", "nobody:1"], /^berth: image nobody:1 not found\n$/],
  [["search", "127.0.0.1:1"], /^berth: RegistryUnavailable: repositories of 127\.0\.0\.1:1: cannot reach/],
  [
    ["search", "--tags", "127.0.0.1:1/x:1"],
    /^berth: 127\.0\.0\.1:1\/x:1 names an image: give its repository alone\n$/,
  ],
] as const) {
  test(`registry: ${args.join(" ")} fails with a line that says why`, async () => {
    const { status, stdout, stderr } = await berth.run(args);
    assert.equal(status, 1);
    assert.match(stderr, expected);
    assert.equal(stdout, "");
  });
}
