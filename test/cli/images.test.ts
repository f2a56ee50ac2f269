import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { World } from "../harness/world.ts";
import { Berth } from "./berth.ts";

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

test("images: one of the host's binaries, by name, under two names, and gone again", async () => {
  const [made] = await berth.json<{ id: string; references: string[] }[]>(
    ...["image-from-host", "--name", "localhost/tools:1", "busybox", "/bin/sh"],
  );
  assert.deepEqual(made?.references, ["localhost/tools:1"]);
  assert.match(await berth.must("images"), /^localhost\/tools:1 +[0-9a-f]{13} +[\d.]+ MB$/m);
  assert.equal(await berth.must("images", "-q"), `${made.id}\n`);
  const { status } = await berth.json<{ status: { repo_tags: string[] } }>("inspect", "localhost/tools:1");
  assert.deepEqual(status.repo_tags, ["localhost/tools:1"]);
  assert.equal(await berth.must("rmi", made.id.slice(7, 17)), `${made.id}\n`);
  assert.deepEqual(await berth.json("images"), []);
});

for (const [args, input, expected] of [
  [["image-from-host", "no-such-command"], "", /^berth: no command "no-such-command" in PATH\n$/],
  [["image-from-host", "/no/such"], "", /\/no\/such/],
  [["import", "/no/such.tar"], "", /\/no\/such\.tar/],
  [["import", "-"], "this is no archive", /./],
  [["rmi", "localhost/absent:1"], "", /^berth: no image "localhost\/absent:1"\n$/],
  [["pull", "UPPER CASE"], "", /UPPER CASE/],
  [["pull", "127.0.0.1:1/nobody:latest"], "", /127\.0\.0\.1:1/],
  [["pull", "--username", "me", "127.0.0.1:1/x"], "", /--password-stdin/],
  [["run", "127.0.0.1:1/nobody:latest"], "", /127\.0\.0\.1:1/],
  [["inspect", "nothing"], "", /^berth: no container, pod or image "nothing"\n$/],
] as const) {
  test(`images: ${args.join(" ")} fails with a line that names it`, async () => {
    const { status, stdout, stderr } = await berth.run(args, input);
    assert.equal(status, 1, stderr);
    assert.match(stderr, expected);
    assert.match(stderr, /^berth: [^\n]+\n$/);
    assert.equal(stdout, "");
    assert.deepEqual(await berth.json("images"), []);
  });
}
