import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { promisify } from "node:util";
import { newContainerId } from "../../src/core/ids.ts";
import type { Image } from "../../src/core/image.ts";
import {
  describeTree,
  listPaths,
  openTestImages,
  prepareOverlay,
  temporaryFolder,
  testJob,
  type TestStore,
} from "./harness.ts";
import { gzipLayer, putImage, startRegistry, type TestLayer } from "./registry.ts";

const run = promisify(execFile);
const { signal } = new AbortController();

/** What the upper layers have no entries for: owners, modes, times and attributes of folders come from the lowest. */
const layers: readonly TestLayer[] = [
  gzipLayer([
    { name: "./", type: "5", mode: 0o751, uid: 3, mtime: 1000 },
    { name: "tmp/", type: "5", mode: 0o1777, mtime: 2000 },
    { name: "home/", type: "5", mode: 0o755, mtime: 3000 },
    { name: "home/user/", type: "5", mode: 0o700, uid: 1000, gid: 1000, mtime: 4000 },
    {
      name: "home/user/data/",
      type: "5",
      mode: 0o2770,
      uid: 1000,
      gid: 7,
      pax: { "SCHILY.xattr.user.note": "kept" },
    },
    { name: "home/user/data/f", data: "1", uid: 1000 },
    { name: "gone/", type: "5", mode: 0o700 },
    { name: "gone/f", data: "1" },
    { name: "hidden/", type: "5", mode: 0o700 },
  ]),
  gzipLayer([
    { name: "tmp/new", data: "2" },
    { name: "home/user/data/.wh.f" },
    { name: "home/user/data/g", data: "2" },
    { name: ".wh.gone" },
    { name: "own/deep/f", data: "2" },
    { name: "hidden/.wh..wh..opq" },
    { name: "hidden/f", data: "2" },
  ]),
  gzipLayer([
    { name: "gone/f", data: "3" },
    { name: "own/deep/g", data: "3" },
    { name: "home/user/", type: "5", mode: 0o711, uid: 1000, gid: 1000, mtime: 5000 },
  ]),
];

/** `path mode owner` of folders, as tar unpacks the layers over each other. */
const expected = [
  ". 751 3:0",
  "gone 755 0:0",
  "hidden 700 0:0",
  "home 755 0:0",
  "home/user 711 1000:1000",
  "home/user/data 2770 1000:7",
  "own 755 0:0",
  "own/deep 755 0:0",
  "tmp 1777 0:0",
];

async function foldersOf(root: string): Promise<string[]> {
  const { stdout } = await run("find", [".", "-type", "d", "-printf", "%P %m %U:%G\n"], { cwd: root });
  return stdout
    .trim()
    .split("\n")
    .map((line) => (line.startsWith(" ") || /^\d+ \d+:/.test(line) ? `. ${line.trim()}` : line))
    .toSorted();
}

/** What a container would see, by a mount. */
async function shown<T>(
  folder: string,
  { images }: TestStore,
  image: Image,
  look: (root: string) => Promise<T>,
): Promise<T> {
  const container = newContainerId();
  const { layersDir, lowers, upper, work } = await prepareOverlay(images, container, image);
  const merged = join(folder, "merged");
  await mkdir(merged, { recursive: true });
  const options = `lowerdir=${lowers.join(":")},upperdir=${upper},workdir=${work}`;
  await run("mount", ["-t", "overlay", "-o", options, "overlay", merged], { cwd: layersDir });
  try {
    return await look(merged);
  } finally {
    await run("umount", [merged]);
    await images.removeSnapshot(container);
  }
}

test("completion: folders that a layer has no entry for are as the layers below describe them", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images, root } = opened;
  putImage(registry, "parents", "1", layers);
  const reference = `${registry.host}/parents:1`;
  const before = await listPaths(root);
  const { image } = await images.pull({ reference, job: testJob(), signal });
  assert.equal(image.layers.length, layers.length + 1);
  const tree = await shown(folder.path, opened, image, async (merged) => {
    assert.deepEqual(await foldersOf(merged), expected);
    const { stdout } = await run("getfattr", [
      "--only-values",
      "-n",
      "user.note",
      join(merged, "home/user/data"),
    ]);
    assert.equal(stdout, "kept");
    assert.equal(await images.readImageFile(image, "/hidden/f", 10).then(String), "2");
    return await describeTree(merged);
  });
  assert.ok(
    tree.some((line) => line.startsWith("tmp 41777 0:0 0 0 0 2000000 ")),
    "times as well",
  );

  // What the layers are without a mount: an export, and a copy.
  const container = newContainerId();
  await images.prepare(container, image, signal);
  const [exported, tar] = ["exported", "tree.tar"].map((name) => join(folder.path, name)) as [string, string];
  await mkdir(exported);
  await writeFile(tar, await buffer(images.exportContainer(container, undefined, signal)));
  await run("tar", ["-xpf", tar, "-C", exported]);
  assert.deepEqual(await foldersOf(exported), expected);
  await images.removeSnapshot(container);

  const again = await images.pull({ reference, job: testJob(), signal });
  assert.deepEqual(again.image, image, "a pull of what is here makes nothing anew");
  await images.remove(image.id);
  assert.deepEqual(await listPaths(root), before);
});

test("completion: in a copied root", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path, { snapshotter: "copy" });
  putImage(registry, "parents", "1", layers);
  const reference = `${registry.host}/parents:1`;
  const { image } = await opened.images.pull({ reference, job: testJob(), signal });
  const snapshot = await opened.images.prepare(newContainerId(), image, signal);
  assert.ok(snapshot.kind === "copy");
  assert.deepEqual(await foldersOf(snapshot.path), expected);
});

test("completion: an image whose layers describe all their folders has none; the marks are nobody's to set", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const mark = { "SCHILY.xattr.trusted.berth.implicit": "y" };
  const complete = [
    gzipLayer([{ name: "d/", type: "5", mode: 0o700 }]),
    gzipLayer([
      { name: "d/", type: "5", mode: 0o711, pax: mark },
      { name: "d/f", data: "2" },
    ]),
  ];
  putImage(registry, "complete", "1", complete);
  const reference = `${registry.host}/complete:1`;
  const { image } = await opened.images.pull({ reference, job: testJob(), signal });
  assert.equal(image.layers.length, 2);
  await shown(folder.path, opened, image, async (merged) => {
    assert.deepEqual(await foldersOf(merged), [". 755 0:0", "d 711 0:0"]);
  });
});

test("completion: fsck finds one that is damaged, and makes it again; a restart keeps it", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  putImage(registry, "parents", "1", layers);
  const reference = `${registry.host}/parents:1`;
  {
    await using opened = await openTestImages(folder.path);
    const { images, root } = opened;
    const { image } = await images.pull({ reference, job: testJob(), signal });
    const check = async (mode: "report" | "repair", depth: "metadata" | "content") =>
      (await images.check({ mode, depth, job: testJob(), signal })).findings.map(({ subject, repair }) => [
        subject,
        repair.result,
      ]);
    assert.deepEqual(await check("report", "content"), []);
    const completion = image.layers.at(-1);
    const usage = images.usage().layers.find(({ layer }) => layer.diffId === completion);
    await chmod(join(usage?.path ?? "", "fs/tmp"), 0o755);
    assert.deepEqual(await check("repair", "metadata"), [[completion, "repaired"]]);
    assert.deepEqual(await check("report", "content"), []);
    assert.equal((await readdir(join(root, "layers"))).length, layers.length + 1);
  }
  await rm(join(folder.path, "store"), { recursive: true });
  await using opened = await openTestImages(folder.path);
  const [image] = opened.images.list();
  assert.equal(image?.layers.length, layers.length + 1, "from the sidecars");
});
