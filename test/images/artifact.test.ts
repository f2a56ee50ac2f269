import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { newContainerId } from "../../src/core/ids.ts";
import type { Image } from "../../src/core/image.ts";
import {
  type TestStore,
  listPaths,
  openTestImages,
  prepareOverlay,
  temporaryFolder,
  testJob,
} from "./harness.ts";
import { ociTypes, sha256, startRegistry, type TestRegistry } from "./registry.ts";
import { buildTar } from "./tar-builder.ts";

const { signal } = new AbortController();
const emptyConfig = Buffer.from("{}");

/** A file of an artifact; without a title where that is absent. */
interface File {
  readonly data: Uint8Array;
  readonly title?: string;
  readonly mediaType?: string;
}

/** Puts an artifact into a registry, as `oras push` does: the empty config is not pushed. */
function putArtifact(
  registry: TestRegistry,
  tag: string,
  files: readonly File[],
  change: object = {},
): { readonly digest: string; readonly reference: string } {
  const layers = files.map(({ data, title, mediaType = "application/octet-stream" }) => ({
    mediaType,
    digest: registry.putBlob(data),
    size: data.length,
    ...(title === undefined ? {} : { annotations: { "org.opencontainers.image.title": title } }),
  }));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociTypes.manifest,
      artifactType: "application/vnd.test.model",
      config: {
        mediaType: "application/vnd.oci.empty.v1+json",
        digest: sha256(emptyConfig),
        size: emptyConfig.length,
      },
      layers,
      ...change,
    }),
  );
  const digest = registry.putManifest("models", tag, manifest, ociTypes.manifest);
  return { digest, reference: `${registry.host}/models:${tag}` };
}

/** The files of each layer, topmost first, and their content. */
async function filesOf({ images }: TestStore, image: Image): Promise<Record<string, string>[]> {
  const container = newContainerId();
  const { layersDir, lowers } = await prepareOverlay(images, container, image);
  const files = await Promise.all(
    lowers.map(async (lower) => {
      const found: Record<string, string> = {};
      for (const name of (await readdir(join(layersDir, lower), { recursive: true })).sort()) {
        const path = join(layersDir, lower, name);
        if ((await stat(path)).isFile()) found[name] = await readFile(path, "utf8");
      }
      return found;
    }),
  );
  await images.removeSnapshot(container);
  return files;
}

test("artifacts: files by title, tars unpacked; known by the manifest's digest, listed and removed", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images, root } = opened;
  const empty = await listPaths(root);
  const tar = buildTar([
    { name: "dir/", type: "5" },
    { name: "dir/inner", data: "inner" },
  ]);
  const { digest, reference } = putArtifact(registry, "1", [
    { data: Buffer.from("weights"), title: "deep/model.bin" },
    { data: gzipSync(Buffer.from("looks compressed")), title: "raw.gz" },
    { data: Buffer.from("no title") },
    { data: gzipSync(tar), title: "dir", mediaType: ociTypes.gzip },
  ]);
  const { image } = await images.pull({ reference, job: testJob(), signal });
  assert.equal(image.id, digest);
  assert.equal(image.artifactType, "application/vnd.test.model");
  assert.deepEqual(image.tags, [reference]);
  assert.deepEqual(image.repoDigests, [`${registry.host}/models@${digest}`]);
  const [dir, untitled, raw, model] = await filesOf(opened, image);
  assert.deepEqual(model, { "deep/model.bin": "weights" });
  assert.equal(raw?.["raw.gz"], gzipSync(Buffer.from("looks compressed")).toString("utf8"));
  assert.deepEqual(untitled, { [sha256(Buffer.from("no title")).replace(":", "-")]: "no title" });
  assert.deepEqual(dir, { "dir/inner": "inner" });

  assert.equal(images.resolve(reference)?.id, digest);
  assert.equal(images.resolve(digest.slice(7, 20))?.id, digest);
  assert.deepEqual(
    images.list().map(({ id }) => id),
    [digest],
  );
  await images.remove(reference);
  assert.deepEqual(await listPaths(root), empty);
});

test("artifacts: with one config stay apart; equal files are downloaded once, also after a restart", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const shared = { data: Buffer.from("shared"), title: "shard-1" };
  const first = putArtifact(registry, "1", [shared, { data: Buffer.from("a"), title: "shard-2" }]);
  const second = putArtifact(registry, "2", [shared, { data: Buffer.from("b"), title: "shard-2" }]);
  {
    await using opened = await openTestImages(folder.path);
    await opened.images.pull({ reference: first.reference, job: testJob(), signal });
  }
  await using opened = await openTestImages(folder.path);
  const { image } = await opened.images.pull({ reference: second.reference, job: testJob(), signal });
  assert.equal(opened.images.list().length, 2);
  const asked = registry.seen.filter(({ url }) => url.endsWith(sha256(shared.data)));
  assert.equal(asked.length, 1);
  assert.deepEqual(await filesOf(opened, image), [{ "shard-2": "b" }, { "shard-1": "shared" }]);
});

test("artifacts: an archive of one brings it in again with the same digest", async () => {
  await using folder = await temporaryFolder();
  await using other = await temporaryFolder();
  await using registry = await startRegistry();
  const files = [{ data: Buffer.from("weights"), title: "model.bin" }];
  const { reference, digest } = putArtifact(registry, "1", files);
  await using opened = await openTestImages(folder.path);
  await opened.images.pull({ reference, job: testJob(), signal });
  await using target = await openTestImages(other.path);
  const stream = opened.images.save([reference], signal);
  const [image] = await target.images.import({ stream, job: testJob(), signal });
  assert.equal(image?.id, digest);
  assert.deepEqual(image.tags, [reference]);
  assert.deepEqual(await filesOf(target, image), [{ "model.bin": "weights" }]);
});

const good = { data: Buffer.from("good"), title: "good" };

for (const [what, files, change, why] of [
  ["a name that climbs", [good, { ...good, title: "../../../../tmp/evil" }], {}, /is not a plain path/],
  ["an absolute name", [good, { ...good, title: "/tmp/evil" }], {}, /is not a relative path/],
  ["the name of a whiteout", [good, { ...good, title: ".wh.good" }], {}, /stands for a deleted file/],
  ["too many layers", Array<File>(128).fill(good), {}, /has 128 layers, more than 127/],
  ["another digest's bytes", [{ ...good, data: Buffer.from("swapped") }], {}, /sha256/],
  [
    "a config over the limit",
    [good],
    { config: { mediaType: "x/y", digest: sha256(emptyConfig), size: 2 ** 40 } },
    /larger/,
  ],
] as const) {
  test(`artifacts: one with ${what} is refused and leaves nothing`, async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    await using opened = await openTestImages(folder.path);
    const empty = await listPaths(opened.root);
    const { reference } = putArtifact(registry, "1", files, change);
    registry.putBlobAs(sha256(Buffer.from("swapped")), Buffer.from("other!!"));
    await assert.rejects(opened.images.pull({ reference, job: testJob(), signal }), why);
    assert.deepEqual(await listPaths(opened.root), empty);
  });
}

test("artifacts: a file beyond the limit of a layer is refused and leaves nothing", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path, { maxLayerBytes: 100_000 });
  const empty = await listPaths(opened.root);
  const { reference } = putArtifact(registry, "1", [{ data: Buffer.alloc(200_000), title: "big" }]);
  await assert.rejects(opened.images.pull({ reference, job: testJob(), signal }), {
    code: "resource-exhausted",
  });
  assert.deepEqual(await listPaths(opened.root), empty);
});

for (const keepBlobs of ["local", "all"] as const) {
  test(`artifacts: a store that keeps ${keepBlobs} blobs checks and mends them`, async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    await using opened = await openTestImages(folder.path, { keepBlobs });
    const { images, root } = opened;
    const tar = gzipSync(buildTar([{ name: "inner", data: "inner" }]));
    const { reference } = putArtifact(registry, "1", [
      { data: Buffer.from("weights"), title: "model" },
      { data: tar, mediaType: ociTypes.gzip },
    ]);
    const { image } = await images.pull({ reference, job: testJob(), signal });
    const check = async (mode: "report" | "repair"): Promise<string[]> => {
      const { findings } = await images.check({ mode, depth: "content", job: testJob(), signal });
      return findings.map(({ kind, repair }) => `${kind} ${repair.result}`).sort();
    };
    assert.deepEqual(await check("report"), []);

    for (const layer of await readdir(join(root, "layers"))) {
      for (const name of await readdir(join(root, "layers", layer, "fs"))) {
        const path = join(root, "layers", layer, "fs", name);
        await writeFile(path, (await readFile(path)).fill("x"));
      }
    }
    await writeFile(join(root, "blobs/sha256", sha256(emptyConfig).slice("sha256:".length)), "[]");
    assert.deepEqual(await check("report"), ["config not-tried", "layer not-tried", "layer not-tried"]);
    assert.deepEqual(await check("repair"), ["config repaired", "layer repaired", "layer repaired"]);
    assert.deepEqual(await check("report"), []);
    assert.deepEqual(await filesOf(opened, image), [{ inner: "inner" }, { model: "weights" }]);
  });
}
