import assert from "node:assert/strict";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { World } from "../harness/world.ts";
import { Berth } from "./berth.ts";

let world: World;
let daemon: TestDaemon;
let berth: Berth;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world, { flags: ["--images-pinned", "localhost/pinned:*"] });
  berth = new Berth(daemon);
  for (const [name, binary] of [
    ["used", "/bin/sh"],
    ["unused", "/bin/cat"],
    ["pinned", "/bin/ls"],
  ] as const)
    await berth.must("image-from-host", "--name", `localhost/${name}:1`, binary);
  await berth.must(
    "run",
    "--name",
    "user",
    "localhost/used:1",
    "sh",
    "-c",
    "while :; do read x < /dev/full; done",
  );
});

after(async () => {
  await berth.run(["rmp", "--force", "user"]);
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

interface Usage {
  readonly images: readonly {
    references: string[];
    total_bytes: string;
    own_bytes: string;
    containers: string[];
  }[];
  readonly layers: readonly { path: string; bytes: string }[];
  readonly containers: readonly { name: string }[];
  readonly layer_bytes: string;
}

test("du: by image, layer and container, and what is shared", async () => {
  const text = await berth.must("du", "--layers");
  assert.match(text, /^layers +[\d.]+ [kM]B$/m);
  assert.match(text, /^localhost\/pinned:1 .* 0 +pinned$/m);
  assert.match(text, /^LAYER +SIZE +INODES +IMAGES +CONTAINERS$/m);
  const usage = await berth.json<Usage>("du");
  assert.equal(usage.images.length, 3);
  const used = usage.images.find(({ references }) => references.includes("localhost/used:1"));
  assert.equal(used?.containers.length, 1);
  // The container keeps the layer: removal would free the documents and the kept blob alone.
  assert.ok(Number(used.own_bytes) < Number(used.total_bytes));
  assert.equal(
    usage.layers.reduce((sum, { bytes }) => sum + Number(bytes), 0),
    Number(usage.layer_bytes),
  );
  for (const { path } of usage.layers) assert.ok((await stat(path)).isDirectory());
  assert.ok(usage.containers.length === 1);
});

test("gc: only unused, only untagged unless told otherwise, and never what is pinned", async () => {
  const names = async (): Promise<string[]> =>
    (await berth.json<{ repo_tags: string[] }[]>("images")).flatMap(({ repo_tags }) => repo_tags).toSorted();
  const all = ["localhost/pinned:1", "localhost/unused:1", "localhost/used:1"];
  assert.equal(await berth.must("gc"), "freed 0 B\n");
  assert.match(
    await berth.must("gc", "--all", "--dry-run"),
    /^localhost\/unused:1 .*\nwould free [\d.]+ [kM]B\n$/m,
  );
  assert.deepEqual(await names(), all);
  const { images, freed_bytes } = await berth.json<{
    images: { references: string[] }[];
    freed_bytes: string;
  }>("gc", "--all");
  assert.deepEqual(
    images.map(({ references }) => references),
    [["localhost/unused:1"]],
  );
  assert.ok(Number(freed_bytes) > 0);
  assert.deepEqual(
    await names(),
    all.filter((name) => name !== "localhost/unused:1"),
  );
});

test("fsck: 0 where all is well, 4 where damage is left, 1 where it was repaired", async () => {
  assert.match(await berth.must("fsck"), /^2 images, 2 layers and 2 kept blobs: all is well\n$/);
  assert.match(await berth.must("fsck", "--content"), /all is well\n$/);
  const usage = await berth.json<Usage>("du");
  await rm(join(usage.layers[0]?.path ?? "", "fs/tmp"), { recursive: true });
  const found = await berth.run(["fsck"]);
  assert.equal(found.status, 4);
  assert.match(
    found.stdout,
    /^layer sha256:\w+ of localhost\/\w+:1: names, owners, modes, .* have changed$/m,
  );
  const repaired = await berth.run(["fsck", "--repair"]);
  assert.equal(repaired.status, 1, "the kept blob of an image that no registry has");
  assert.match(repaired.stdout, /; repaired\n2 images, 2 layers and 2 kept blobs: 1 repaired\n$/);
  assert.deepEqual(await berth.json("fsck"), { images: 2, layers: 2, blobs: 2, findings: [] });
});
