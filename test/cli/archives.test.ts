import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { TestDaemon } from "../harness/daemon.ts";
import { World } from "../harness/world.ts";
import { Berth } from "./berth.ts";

const run = promisify(execFile);
let world: World;
let daemon: TestDaemon;
let berth: Berth;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  berth = new Berth(daemon);
  await berth.must("image-from-host", "--name", "localhost/tools:1", "busybox", "/bin/sh");
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

interface Imported {
  readonly id: string;
  readonly references: readonly string[];
}

test("archives: save, remove, import: the same image; to a file or a pipe", async () => {
  const file = join(world.folder, "saved.tar");
  await berth.must("save", "localhost/tools:1", "--output", file);
  const child = berth.start("save", "localhost/tools:1");
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout ?? []) chunks.push(chunk as Buffer);
  assert.deepEqual(Buffer.concat(chunks), await readFile(file), "the same bytes each time");
  const [before] = await berth.json<{ id: string; repo_digests: string[] }[]>("images");
  await berth.must("rmi", "localhost/tools:1");
  const [back] = await berth.json<Imported[]>("import", file);
  assert.deepEqual(back, { id: before?.id, references: ["localhost/tools:1"] });
});

test("archives: a running container's files become an image and an archive", async () => {
  const script = "echo kept > /kept; rm /etc/group; chmod 4755 /kept; echo ready; exec sleep 1000";
  const child = berth.start("run", "--name", "writer", "localhost/tools:1", "--", "sh", "-c", script);
  try {
    for await (const chunk of child.stdout ?? []) if (String(chunk).includes("ready")) break;
    const [container] = await berth.json<{ id: string }[]>("ps");
    const id = container?.id ?? "";
    const [image] = await berth.json<Imported[]>(
      ...["commit", id, "localhost/written:1", "-m", "why", "-a", "me", "-c", 'CMD ["cat", "/kept"]'],
    );
    assert.deepEqual(image?.references, ["localhost/written:1"]);
    const { status } = await berth.json<{ status: { state: string } }>("inspect", id);
    assert.equal(status.state, "CONTAINER_RUNNING", "it goes on");
    assert.equal(await berth.must("exec", id, "cat", "/kept"), "kept\n");
    assert.equal(await berth.must("run", "--rm", "localhost/written:1"), "kept\n");

    const file = join(world.folder, "tree.tar");
    await berth.must("export", id.slice(0, 12), "-o", file);
    const tree = join(world.folder, "tree");
    await mkdir(tree);
    await run("tar", ["-xpf", file, "-C", tree]);
    assert.equal(await readFile(join(tree, "kept"), "utf8"), "kept\n");
    assert.ok(!(await readdir(join(tree, "etc"))).includes("group"));
    await berth.must("import", "--rootfs", file, "localhost/root:1", "--change", "CMD cat /kept");
    assert.equal(await berth.must("run", "--rm", "localhost/root:1"), "kept\n");
  } finally {
    child.kill("SIGTERM");
  }
});

for (const [args, expected] of [
  [["save", "localhost/absent:1"], /^berth: image localhost\/absent:1 not found\n$/],
  [["save", "localhost/absent:1", "-o", "/no/such/folder/file"], /\/no\/such\/folder|not found/],
  [["export", "nothing"], /container "nothing" not found/],
  [["commit", "nothing", "x"], /container "nothing" not found/],
  [["import", "--rootfs", "/no/such.tar", "x"], /\/no\/such\.tar/],
  [["import", "--rootfs", "/dev/null"], /say what to call it/],
  [["import", "/dev/null", "x"], /--name names/],
  [["import", "/dev/null", "-m", "x"], /are for --rootfs/],
] as const) {
  test(`archives: ${args.join(" ")} fails with a line that says why`, async () => {
    const { status, stdout, stderr } = await berth.run(args);
    assert.equal(status, 1, stderr);
    assert.match(stderr, expected);
    assert.match(stderr, /^berth: [^\n]+\n$/);
    assert.equal(stdout, "");
  });
}

test("archives: what is no archive of images says which option takes a root file system", async () => {
  const file = join(world.folder, "rootfs.tar");
  await writeFile(join(world.folder, "f"), "1");
  await run("tar", ["-cf", file, "-C", world.folder, "f"]);
  const { stderr } = await berth.run(["import", file]);
  assert.match(stderr, /neither index.json nor manifest.json.*--rootfs/);
});
