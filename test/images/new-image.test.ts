import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { promisify } from "node:util";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { newContainerId } from "../../src/core/ids.ts";
import {
  describeTree,
  listPaths,
  openTestImages,
  prepareOverlay,
  temporaryFolder,
  testJob,
} from "./harness.ts";
import { gzipLayer, putImage, sha256, startRegistry } from "./registry.ts";
import { buildTar } from "./tar-builder.ts";

const run = promisify(execFile);
const { signal } = new AbortController();
const plain = { author: "", message: "", changes: [], signal } as const;
const pause = (): Promise<() => Promise<void>> => Promise.resolve(() => Promise.resolve());

interface Config {
  readonly author?: string;
  readonly config: Record<string, unknown>;
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history: readonly Record<string, unknown>[];
}

async function readBlob(root: string, digest: string): Promise<Buffer> {
  return await readFile(join(root, "blobs/sha256", digest.slice(7)));
}

test("commit: what a container wrote is one more layer, with its whiteouts, and can be saved", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images, root } = opened;
  putImage(registry, "base", "1", [
    gzipLayer([
      { name: "kept", data: "kept" },
      { name: "gone", data: "gone" },
    ]),
  ]);
  const reference = `${registry.host}/base:1`;
  const { image: base } = await images.pull({ reference, job: testJob(), signal });
  const containerId = newContainerId();
  await prepareOverlay(images, containerId, base);
  const upper = images.writableLayer(containerId).folder;
  await run("sh", ["-ec", "echo new > new; mknod gone c 0 0; chmod 700 new; touch -d @7 new ."], {
    cwd: upper,
  });
  const steps: string[] = [];
  const image = await images.commitContainer({
    containerId,
    imageId: base.id,
    reference: "mine",
    author: "A U Thor",
    message: "why",
    changes: ['CMD ["/new"]', "ENV X=y"],
    job: testJob(),
    signal,
    pause: () => {
      steps.push("paused");
      return Promise.resolve(() => {
        steps.push("resumed");
        return Promise.resolve();
      });
    },
  });
  assert.deepEqual(steps, ["paused", "resumed"]);
  assert.deepEqual(image.tags, ["docker.io/library/mine:latest"]);
  assert.deepEqual(image.layers.slice(0, -1), base.layers);
  assert.deepEqual(image.process.cmd, ["/new"]);
  const config = JSON.parse((await readBlob(root, image.id)).toString()) as Config;
  assert.equal(config.author, "A U Thor");
  assert.deepEqual(config.config["Env"], ["A=b", "X=y"]);
  assert.deepEqual(config.config["ExposedPorts"], { "80/tcp": {} }, "what no change names stays");
  assert.equal(config.history.at(-1)?.["comment"], "why");
  assert.equal(await images.readImageFile(image, "/gone", 10), undefined);
  assert.equal((await images.readImageFile(image, "/kept", 10))?.toString(), "kept");
  assert.equal((await images.readImageFile(image, "/new", 10))?.toString(), "new\n");
  const layer = await readBlob(root, image.blobs?.at(-1) ?? "");
  assert.equal(sha256(gunzipSync(layer)), image.layers.at(-1), "the kept blob is the layer");

  // The base's layer stays with the new image; its compressed form is fetched from where the base came from.
  await images.removeSnapshot(containerId);
  await images.remove(base.id);
  assert.equal((await images.readImageFile(image, "/kept", 10))?.toString(), "kept");
  const archive = await buffer(images.save(["mine"], signal));
  await using other = await openTestImages(join(folder.path, "other"));
  const stream = (async function* () {
    await Promise.resolve();
    yield archive;
  })();
  const [loaded] = await other.images.import({ stream, job: testJob(), signal });
  assert.deepEqual([loaded?.id, loaded?.manifest], [image.id, image.manifest]);
});

test("commit: a wrong name, a wrong change and a removed image leave nothing", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images, root } = opened;
  putImage(registry, "base", "1", [gzipLayer([{ name: "f" }])]);
  const { image } = await images.pull({ reference: `${registry.host}/base:1`, job: testJob(), signal });
  const containerId = newContainerId();
  await prepareOverlay(images, containerId, image);
  const before = await listPaths(root);
  const good = { ...plain, containerId, imageId: image.id, reference: "x", job: testJob(), pause };
  for (const [change, code] of [
    [{ reference: "UPPER" }, "invalid-argument"],
    [{ reference: `x@${image.id}` }, "invalid-argument"],
    [{ changes: ["RUN x"] }, "invalid-argument"],
    [{ imageId: `sha256:${"0".repeat(64)}` }, "failed-precondition"],
  ] as const) {
    await assert.rejects(images.commitContainer({ ...good, ...change }), { code });
    assert.deepEqual(await listPaths(root), before);
  }
  await assert.rejects(
    images.commitContainer({ ...good, signal: AbortSignal.abort(new Error("left")) }),
    /left|aborted/,
  );
  assert.deepEqual(await listPaths(root), before);
});

test("commit: where its file cannot be opened the packer ends before the container goes on", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images, root } = opened;
  putImage(registry, "base", "1", [gzipLayer([{ name: "f" }])]);
  const { image } = await images.pull({ reference: `${registry.host}/base:1`, job: testJob(), signal });
  const containerId = newContainerId();
  await prepareOverlay(images, containerId, image);
  const upper = images.writableLayer(containerId).folder;
  await writeFile(join(upper, "big"), Buffer.alloc(20_000_000, "x"));
  const children = (): Promise<string> => readFile(`/proc/self/task/${process.pid}/children`, "utf8");
  const before = await children();
  let then: string | undefined;
  const losing = async (): Promise<() => Promise<void>> => {
    for (const name of await readdir(join(root, "tmp")))
      await rm(join(root, "tmp", name), { recursive: true });
    return async () => {
      then = await children();
    };
  };
  const request = { ...plain, containerId, imageId: image.id, reference: "x", job: testJob(), pause: losing };
  await assert.rejects(images.commitContainer(request), /ENOENT|no such file/);
  assert.equal(then, before);
});

test("export: the tree that overlay shows", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images } = opened;
  putImage(registry, "base", "1", [
    gzipLayer([
      { name: "./", type: "5", mode: 0o755 },
      { name: "d/", type: "5", mode: 0o755 },
      { name: "d/f", data: "1" },
      { name: "gone", data: "1" },
    ]),
    gzipLayer([{ name: "d/g", data: "2" }, { name: ".wh.gone" }]),
  ]);
  const { image } = await images.pull({ reference: `${registry.host}/base:1`, job: testJob(), signal });
  const containerId = newContainerId();
  const { layersDir, lowers, upper, work } = await prepareOverlay(images, containerId, image);
  const mounted = join(folder.path, "mounted");
  await mkdir(mounted);
  const options = `lowerdir=${lowers.join(":")},upperdir=${upper},workdir=${work}`;
  await run("mount", ["-t", "overlay", "-o", options, "overlay", mounted], { cwd: layersDir });
  const out = join(folder.path, "out");
  await mkdir(out);
  {
    await using _mount = {
      [Symbol.asyncDispose]: async () => {
        await run("umount", [mounted]);
      },
    };
    await run("sh", ["-ec", "rm d/f; echo 3 > d/h; mkdir -m 1777 t; chmod 4755 d/g"], { cwd: mounted });
    const tar = join(folder.path, "tar");
    await writeFile(tar, await buffer(images.exportContainer(containerId, undefined, signal)));
    await run("tar", ["-xpf", tar, "-C", out]);
    assert.deepEqual(await describeTree(out), await describeTree(mounted));
  }
  assert.throws(() => images.exportContainer(newContainerId(), undefined, signal), { code: "not-found" });
});

for (const [name, pack, mediaType] of [
  ["plain", (tar: Buffer) => tar, "application/vnd.oci.image.layer.v1.tar"],
  ["gzip", gzipSync, "application/vnd.oci.image.layer.v1.tar+gzip"],
  ["zstd", zstdCompressSync, "application/vnd.oci.image.layer.v1.tar+zstd"],
] as const) {
  test(`rootfs: a ${name} tar becomes an image of one layer`, async () => {
    await using folder = await temporaryFolder();
    await using opened = await openTestImages(folder.path);
    const { images, root } = opened;
    const tar = buildTar([{ name: "bin/sh", data: "x", mode: 0o755 }]);
    const stream = (async function* () {
      await Promise.resolve();
      yield pack(tar);
    })();
    const request = {
      ...plain,
      reference: "root:1",
      changes: ["CMD /bin/sh"],
      message: "made",
      job: testJob(),
    };
    const image = await images.importRootfs({ ...request, stream });
    assert.deepEqual(image.layers, [sha256(tar)]);
    assert.deepEqual(image.tags, ["docker.io/library/root:1"]);
    const manifest = JSON.parse((await readBlob(root, image.manifest)).toString()) as {
      layers: { mediaType: string; digest: string }[];
    };
    assert.deepEqual(
      manifest.layers.map((layer) => [layer.mediaType, layer.digest]),
      [[mediaType, sha256(pack(tar))]],
    );
    assert.equal((await images.readImageFile(image, "/bin/sh", 10))?.toString(), "x");
    assert.deepEqual(await readdir(join(root, "tmp")), []);
    // It round-trips: everything of it is here.
    assert.ok((await buffer(images.save(["root:1"], signal))).length > 0);
    await images.remove(image.id);
    assert.deepEqual(await readdir(join(root, "blobs/sha256")), []);
    assert.deepEqual(await readdir(join(root, "layers")), []);
  });
}

test("rootfs: what is no tar leaves nothing", async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path);
  const before = await listPaths(opened.root);
  const stream = (async function* () {
    await Promise.resolve();
    yield Buffer.alloc(4096, 65);
  })();
  const request = { ...plain, reference: "root:1", job: testJob(), stream };
  await assert.rejects(opened.images.importRootfs(request), {
    code: "failed-precondition",
    message: /root file system of docker.io\/library\/root:1: .*damaged/,
  });
  assert.deepEqual(await listPaths(opened.root), before);
});
