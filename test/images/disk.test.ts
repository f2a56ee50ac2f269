import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { newContainerId } from "../../src/core/ids.ts";
import { openImages } from "../../src/images/index.ts";
import { openStore } from "../../src/store/index.ts";
import {
  buildUnpacker,
  listPaths,
  luajit,
  openTestImages,
  prepareOverlay,
  temporaryFolder,
  testJob,
  unpacker,
} from "./harness.ts";
import { gzipLayer, putImage, startRegistry } from "./registry.ts";
import { buildTar } from "./tar-builder.ts";

const run = promisify(execFile);
const { signal } = new AbortController();

test("full disk: a pull says so and leaves nothing", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await buildUnpacker();
  const root = join(folder.path, "root");
  await mkdir(root);
  await run("mount", ["-t", "tmpfs", "-o", "size=1m,nr_inodes=200", "tmpfs", root]);
  await using _mount = {
    [Symbol.asyncDispose]: async () => {
      await run("umount", [root]);
    },
  };
  const store = await openStore(join(folder.path, "store"));
  await using _store = { [Symbol.asyncDispose]: () => store.close() };
  const settings = { maxLayerBytes: 1e9, insecureRegistries: [], pinned: [], onDamaged: () => undefined };
  const images = await openImages({ root, store, luajit, unpacker, ...settings });
  await using _images = { [Symbol.asyncDispose]: () => images.close() };
  const before = await listPaths(root);
  const many = Array.from({ length: 300 }, (_, index) => ({ name: `f${index}` }));
  const layers = {
    bytes: gzipLayer([{ name: "big", data: Buffer.alloc(3_000_000, 1) }]),
    inodes: gzipLayer(many),
  };
  for (const [tag, layer] of Object.entries(layers)) {
    putImage(registry, "full", tag, [layer]);
    const pull = images.pull({ reference: `${registry.host}/full:${tag}`, job: testJob(), signal });
    await assert.rejects(pull, {
      code: "resource-exhausted",
      message: /layer .*full:\w+: .*no space left on/i,
    });
    assert.deepEqual(await listPaths(root), before);
  }
  const archive = (async function* () {
    await Promise.resolve();
    yield buildTar([{ name: "blob", data: Buffer.alloc(3_000_000) }]);
  })();
  await assert.rejects(images.import({ stream: archive, reference: "x", job: testJob(), signal }), {
    code: "resource-exhausted",
    message: /import of x: no space left on/,
  });
  assert.deepEqual(await listPaths(root), before);
});

test("start: what a crash left half done is removed, what is recorded stays", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  putImage(registry, "a", "1", [gzipLayer([{ name: "f", data: "1" }])]);
  const container = newContainerId();
  const [root, kept] = await (async () => {
    await using opened = await openTestImages(folder.path);
    const { image } = await opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
    await prepareOverlay(opened.images, container, image);
    await writeFile(join(opened.images.writableLayer(container).folder, "written"), "by the container");
    return [opened.root, await listPaths(opened.root)] as const;
  })();
  for (const path of [
    "tmp/layer-1/fs",
    "layers/half/fs",
    "containers/nobody/upper",
    "containers/nobody/work/work",
  ]) {
    await mkdir(join(root, path), { recursive: true });
  }
  for (const path of ["tmp/file", "images/half.json", `blobs/sha256/${"0".repeat(64)}`])
    await writeFile(join(root, path), "{");
  {
    await using _opened = await openTestImages(folder.path);
    assert.deepEqual(await listPaths(root), kept);
  }
  // A layer that is gone takes its image with it: the kubelet pulls again.
  const layer = kept.find((path) => /^layers\/[^/]+$/.test(path)) ?? "";
  await rm(join(root, layer), { recursive: true });
  await using opened = await openTestImages(folder.path);
  assert.deepEqual(opened.images.list(), []);
  assert.match(opened.damaged.join(), /a layer or document of the image is missing/);
});

test("snapshots: overlay mounts the layers, repeated ones too, and shows the image's own root folder", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const a = gzipLayer([
    { name: "f", data: "a" },
    { name: "a", data: "a" },
  ]);
  const b = gzipLayer([
    { name: "./", type: "5", mode: 0o711, uid: 3 },
    { name: "f", data: "b" },
    { name: ".wh.a" },
  ]);
  putImage(registry, "twice", "1", [a, b, a, b]);
  const { image } = await opened.images.pull({
    reference: `${registry.host}/twice:1`,
    job: testJob(),
    signal,
  });
  const { layersDir, lowers, upper, work } = await prepareOverlay(opened.images, newContainerId(), image);
  assert.equal(lowers.length, 2);
  assert.ok(lowers.every((lower) => lower.length <= 16));
  const merged = join(folder.path, "merged");
  await mkdir(merged);
  const options = `lowerdir=${lowers.join(":")},upperdir=${upper},workdir=${work}`;
  await run("mount", ["-t", "overlay", "-o", options, "overlay", merged], { cwd: layersDir });
  await using _mount = {
    [Symbol.asyncDispose]: async () => {
      await run("umount", [merged]);
    },
  };
  const { stdout } = await run("sh", ["-c", "ls; cat f; stat -c %a:%u ."], { cwd: merged });
  assert.equal(stdout, "f\nb711:3\n");
});
