import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { promisify } from "node:util";
import { zstdCompressSync } from "node:zlib";
import { openTestImages, temporaryFolder, testJob, type TestStore } from "./harness.ts";
import { gzipLayer, ociTypes, putImage, sha256, startRegistry } from "./registry.ts";
import { buildTar } from "./tar-builder.ts";

const run = promisify(execFile);
const { signal } = new AbortController();

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield bytes;
}

async function load(opened: TestStore, archive: Buffer): ReturnType<TestStore["images"]["import"]> {
  return opened.images.import({ stream: once(archive), job: testJob(), signal });
}

async function blobNames({ root }: TestStore): Promise<string[]> {
  return (await readdir(join(root, "blobs/sha256"))).map((name) => `sha256:${name}`).sort();
}

for (const keepBlobs of ["local", "all"] as const) {
  test(`save: a pulled image comes back with the same digests, blobs kept: ${keepBlobs}`, async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    const [two, three] = ["two", "three"].map((name) => buildTar([{ name, data: name }]));
    assert.ok(two !== undefined && three !== undefined);
    const layers = [
      gzipLayer([{ name: "a", data: "one" }]),
      { tar: two, blob: zstdCompressSync(two), mediaType: ociTypes.zstd },
      { tar: three, blob: three, mediaType: ociTypes.plain },
    ];
    putImage(registry, "lib/saved", "1", layers);
    await using first = await openTestImages(join(folder.path, "first"), { keepBlobs });
    const reference = `${registry.host}/lib/saved:1`;
    const { image } = await first.images.pull({ reference, job: testJob(), signal });
    const kept = (await blobNames(first)).filter((name) => layers.some(({ blob }) => sha256(blob) === name));
    assert.equal(kept.length, keepBlobs === "all" ? 3 : 0);
    const usage = first.images.filesystemUsage();
    assert.ok(usage.usedBytes > layers.reduce((sum, layer) => sum + layer.blob.length, 0));
    const before = registry.seen.length;
    const archive = await buffer(first.images.save([reference], signal));
    assert.equal(
      registry.seen.slice(before).filter(({ url }) => url.includes("/blobs/")).length,
      3 - kept.length,
    );

    await using second = await openTestImages(join(folder.path, "second"));
    const [loaded] = await load(second, archive);
    assert.deepEqual(
      { id: loaded?.id, manifest: loaded?.manifest, layers: loaded?.layers, tags: loaded?.tags },
      { id: image.id, manifest: image.manifest, layers: image.layers, tags: [reference] },
    );
    // What no registry is known to have was kept: the same archive can be written again.
    registry.trick = () => assert.fail("nobody asks the registry");
    assert.deepEqual(await buffer(second.images.save([image.id], signal)), archive);
    assert.deepEqual(await load(second, archive), [loaded]);
    await second.images.remove(image.id);
    assert.deepEqual(await blobNames(second), []);
  });
}

test("save: several images share their blobs in the archive, each keeps its names", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(join(folder.path, "a"), { keepBlobs: "all" });
  const shared = gzipLayer([{ name: "base", data: "base" }]);
  putImage(registry, "x", "1", [shared, gzipLayer([{ name: "x" }])]);
  putImage(registry, "y", "1", [shared, gzipLayer([{ name: "y" }])]);
  const names = ["x", "y"].map((name) => `${registry.host}/${name}:1`);
  for (const reference of names) await opened.images.pull({ reference, job: testJob(), signal });
  const archive = await buffer(opened.images.save(names, signal));
  const file = join(folder.path, "both.tar");
  await writeFile(file, archive);
  const { stdout } = await run("tar", ["-tf", file]);
  const entries = stdout.trim().split("\n");
  assert.equal(entries.filter((name) => name.startsWith("blobs/")).length, 3 + 2 * 2);
  assert.equal(new Set(entries).size, entries.length);
  await using other = await openTestImages(join(folder.path, "b"));
  assert.deepEqual(
    (await load(other, archive)).map(({ tags }) => tags),
    names.map((name) => [name]),
  );
});

test("save: errors name what is wrong", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const layer = gzipLayer([{ name: "a", data: "one" }]);
  putImage(registry, "bad", "1", [layer]);
  await using opened = await openTestImages(folder.path, { keepBlobs: "all" });
  const reference = `${registry.host}/bad:1`;
  const { image } = await opened.images.pull({ reference, job: testJob(), signal });
  await assert.rejects(buffer(opened.images.save([reference, "absent:1"], signal)), {
    code: "not-found",
    message: /absent:1 not found/,
  });
  await assert.rejects(buffer(opened.images.save([""], signal)), { code: "invalid-argument" });
  const path = join(opened.root, "blobs/sha256", sha256(layer.blob).slice(7));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await writeFile(path, Buffer.alloc(layer.blob.length, 1));
  await assert.rejects(buffer(opened.images.save([image.id], signal)), {
    code: "internal",
    message: new RegExp(`layer ${sha256(layer.blob)} of image ${image.id}: its kept file is damaged`),
  });
  await rm(path);
  await assert.rejects(buffer(opened.images.save([image.id], signal)), /ENOENT/);
});

test("save: a layer that is neither kept nor in a registry any more is named", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const layer = gzipLayer([{ name: "a", data: "one" }]);
  putImage(registry, "gone", "1", [layer]);
  await using opened = await openTestImages(folder.path);
  const reference = `${registry.host}/gone:1`;
  await opened.images.pull({ reference, job: testJob(), signal });
  registry.trick = (_request, response) => {
    response.writeHead(404).end();
    return true;
  };
  await assert.rejects(buffer(opened.images.save([reference], signal)), {
    message: new RegExp(`layer ${sha256(layer.blob)} of image ${reference}`),
  });
});

const skopeo = ["/usr/bin/skopeo", "/opt/peers/bin/skopeo"].find((path) => existsSync(path));

test("save: skopeo reads the archive as both kinds", { skip: skopeo ? false : "no skopeo" }, async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path);
  await using registry = await startRegistry();
  putImage(registry, "sk", "tagged", [gzipLayer([{ name: "hello", data: "hello" }])]);
  const reference = `${registry.host}/sk:tagged`;
  const { image } = await opened.images.pull({ reference, job: testJob(), signal });
  const file = join(folder.path, "saved.tar");
  await writeFile(file, await buffer(opened.images.save([reference], signal)));
  const policy = join(folder.path, "policy.json");
  await writeFile(policy, '{"default":[{"type":"insecureAcceptAnything"}]}');
  const inspect = async (source: string, ...flags: string[]): Promise<string> =>
    (await run(skopeo ?? "", ["--policy", policy, "inspect", ...flags, source])).stdout;
  assert.equal(
    (JSON.parse(await inspect(`oci-archive:${file}:tagged`)) as { Digest: string }).Digest,
    image.manifest,
  );
  const config = await inspect(`docker-archive:${file}:${reference}`, "--config", "--raw");
  assert.equal(sha256(Buffer.from(config)), image.id);
});
