import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { newContainerId } from "../../src/core/ids.ts";
import { listPaths, openTestImages, prepareOverlay, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer, ociTypes, putImage, sha256, startRegistry } from "./registry.ts";
import { buildTar } from "./tar-builder.ts";

const { signal } = new AbortController();

test("pull: gzip, zstd and plain layers land, shared, with their records", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { images, root } = opened;
  const empty = await listPaths(root);
  const base = gzipLayer([
    { name: "etc/", type: "5" },
    { name: "etc/passwd", data: "web:x:7:7::/:/bin/sh\n" },
  ]);
  const zstdTar = buildTar([{ name: "z", data: "zstd" }]);
  const plainTar = buildTar([{ name: "etc/.wh.passwd" }, { name: "p", data: "plain" }]);
  const zstd = { tar: zstdTar, blob: zstdCompressSync(zstdTar), mediaType: ociTypes.zstd };
  const plain = { tar: plainTar, blob: plainTar, mediaType: ociTypes.plain };
  putImage(registry, "team/a", "1", [base, zstd]);
  putImage(registry, "team/b", "latest", [base, zstd, plain]);
  const job = testJob();
  const first = await images.pull({ reference: `${registry.host}/team/a:1`, job, signal });
  const second = await images.pull({ reference: `${registry.host}/team/b`, job: testJob(), signal });

  assert.match(first.reference, new RegExp(`^${registry.host}/team/a@sha256:[0-9a-f]{64}$`));
  assert.equal(job.notes.length, 2);
  assert.deepEqual(first.image.tags, [`${registry.host}/team/a:1`]);
  assert.deepEqual(first.image.layers, [sha256(base.tar), sha256(zstd.tar)]);
  assert.deepEqual(first.image.process.cmd, ["/bin/true"]);
  assert.deepEqual(first.image.process.volumes, ["/data"]);
  const layerRequests = registry.seen.filter(({ url }) => url.includes(sha256(base.blob)));
  assert.equal(layerRequests.length, 1, "a shared layer is downloaded once");

  const usage = images.filesystemUsage();
  assert.equal(usage.mountpoint, root);
  assert.ok(usage.usedBytes > 0 && usage.inodesUsed > 6);
  assert.equal(
    (await images.readImageFile(first.image, "/etc/passwd", 100))?.toString(),
    "web:x:7:7::/:/bin/sh\n",
  );
  assert.equal(await images.readImageFile(second.image, "/etc/passwd", 100), undefined, "whited out");

  for (const text of [
    first.image.id,
    first.image.id.slice(7),
    first.image.id.slice(7, 20),
    `${registry.host}/team/a:1`,
    first.reference,
  ]) {
    assert.equal(images.resolve(text)?.id, first.image.id, text);
  }
  assert.equal(images.resolve(`${registry.host}/team/a:2`), undefined);
  assert.equal(images.resolve("busybox"), undefined);

  const container = newContainerId();
  const snapshot = await prepareOverlay(images, container, first.image);
  assert.equal(snapshot.lowers.length, 2);
  assert.equal(await readFile(join(snapshot.layersDir, snapshot.lowers[0] ?? "", "z"), "utf8"), "zstd");
  await images.remove(first.image.id);
  await images.remove(first.image.id);
  await images.remove(second.reference);
  assert.deepEqual(images.list(), []);
  assert.equal(
    await readFile(join(snapshot.layersDir, snapshot.lowers[1] ?? "", "etc/passwd"), "utf8"),
    "web:x:7:7::/:/bin/sh\n",
  );
  await images.removeSnapshot(container);
  await images.removeSnapshot(container);
  assert.deepEqual(await listPaths(root), empty);
});

test("pull: what was committed is there after a restart, also when the records are lost", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  putImage(registry, "a", "1", [gzipLayer([{ name: "f", data: "1" }])]);
  const reference = `${registry.host}/a:1`;
  const container = newContainerId();
  const before = await (async () => {
    await using opened = await openTestImages(folder.path);
    const { image } = await opened.images.pull({ reference, job: testJob(), signal });
    await prepareOverlay(opened.images, container, image);
    return image;
  })();
  {
    await using opened = await openTestImages(folder.path);
    assert.deepEqual(opened.images.list(), [before]);
    assert.equal((await opened.images.readImageFile(before, "f", 10))?.toString(), "1");
    // Only the records know of the container: without them its folder is no one's.
    for (const name of ["images", "layers", "snapshots"]) {
      const table = opened.store.table(name, { encode: String, decode: String });
      const keys = [...(await table.entries(() => undefined)).keys()];
      await opened.store.write(
        keys.map((key) => table.delete(key)),
        "disk",
      );
    }
  }
  await using opened = await openTestImages(folder.path);
  assert.deepEqual(opened.images.list(), [before]);
  assert.deepEqual(opened.damaged, []);
  assert.equal((await opened.images.readImageFile(before, "f", 10))?.toString(), "1");
  await opened.images.remove(reference);
  assert.deepEqual(
    (await listPaths(opened.root)).filter((path) => path.includes("/") && path !== "blobs/sha256"),
    [],
  );
});

test("pull: a tag that moves leaves the old image without it", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path, { pinned: ["127.0.0.1:*/a:*"] });
  const { images } = opened;
  const reference = `${registry.host}/a:1`;
  putImage(registry, "a", "1", [gzipLayer([{ name: "f", data: "1" }])]);
  const old = await images.pull({ reference, job: testJob(), signal });
  assert.equal(old.image.pinned, true);
  putImage(registry, "a", "1", [gzipLayer([{ name: "f", data: "2" }])]);
  const fresh = await images.pull({ reference, job: testJob(), signal });
  assert.equal(images.resolve(reference)?.id, fresh.image.id);
  assert.deepEqual(images.resolve(old.image.id)?.tags, []);
  assert.equal(images.resolve(old.reference)?.id, old.image.id);
  const requests = registry.seen.length;
  const again = await images.pull({ reference, job: testJob(), signal });
  assert.deepEqual(again.image, fresh.image);
  assert.equal(registry.seen.length - requests, 1, "of an image that is here only the manifest is asked for");
});

test("pull: an index gives the manifest of the asked-for platform", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const descriptors = [["amd64"], ["arm64"], ["arm", "v6"], ["arm", "v7"]].map(
    ([architecture, variant], index) => {
      const config = { config: { Cmd: [architecture, variant ?? ""] }, architecture, variant, os: "linux" };
      const { manifest } = putImage(
        registry,
        "multi",
        String(index),
        [gzipLayer([{ name: "f", data: String(index) }])],
        { config },
      );
      return {
        mediaType: ociTypes.manifest,
        digest: manifest,
        size: 1,
        platform: { os: "linux", architecture, variant },
      };
    },
  );
  const index = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests: descriptors }),
  );
  registry.putManifest("multi", "latest", index, ociTypes.index);
  const pull = (platform: { os: string; architecture: string; variant?: string }) =>
    opened.images.pull({ reference: `${registry.host}/multi`, platform, job: testJob(), signal });
  const arm = await pull({ os: "linux", architecture: "arm", variant: "v7" });
  assert.deepEqual(arm.image.process.cmd, ["arm", "v7"]);
  assert.equal(arm.reference, `${registry.host}/multi@${sha256(index)}`);
  assert.deepEqual((await pull({ os: "linux", architecture: "arm64" })).image.process.cmd, ["arm64", ""]);
  await assert.rejects(pull({ os: "linux", architecture: "riscv64" }), {
    code: "not-found",
    message: /riscv64.*linux\/arm\/v6/,
  });
});

test("pull: an image that is here costs at most 3 round trips, with an index and a token server", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { manifest: digest } = putImage(registry, "a", "single", [gzipLayer([{ name: "f", data: "1" }])]);
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const manifests = [
    { mediaType: ociTypes.manifest, digest, size: 1, platform: { os: "linux", architecture } },
  ];
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests }));
  registry.putManifest("a", "1", index, ociTypes.index);
  registry.trick = (request, response) => {
    if (request.url?.startsWith("/token") === true) {
      response.writeHead(200).end('{"token":"t"}');
      return true;
    }
    if (request.headers.authorization === "Bearer t") return false;
    response.writeHead(401, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` }).end();
    return true;
  };
  const pull = () => opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
  const first = await pull();
  assert.equal(registry.seen.length, 6, "challenge, token, index, manifest, config, layer");
  registry.seen.length = 0;
  assert.deepEqual(await pull(), first);
  assert.deepEqual(
    registry.seen.map(({ url }) => url.split("?")[0]),
    ["/v2/a/manifests/1", "/token", "/v2/a/manifests/1"],
  );
});

test("pull: a document that is damaged on the disk is fetched again", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const { config } = putImage(registry, "a", "1", [gzipLayer([{ name: "f", data: "1" }])]);
  const pull = () => opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
  const first = await pull();
  await writeFile(join(opened.root, "blobs/sha256", config.slice("sha256:".length)), "{}");
  registry.seen.length = 0;
  assert.deepEqual(await pull(), first);
  assert.deepEqual(
    registry.seen.map(({ url }) => url),
    ["/v2/a/manifests/1", `/v2/a/blobs/${config}`],
  );
});

test("pull: layers are unpacked side by side, each by a process of its own, while the daemon itself is mostly idle", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  // Small to send, and much to inflate, hash and write.
  const layers = [1, 2].map((byte) =>
    gzipLayer([{ name: `zeros-${byte}`, data: Buffer.alloc(30_000_000, byte) }]),
  );
  putImage(registry, "large", "1", layers);
  const blobs = new Map(layers.map(({ blob }) => [sha256(blob), blob]));
  const held: (() => void)[] = [];
  registry.trick = (request, response) => {
    const blob = blobs.get(request.url?.split("/").at(-1) ?? "");
    if (blob === undefined) return false;
    response.writeHead(200, { "content-length": blob.length });
    response.write(blob.subarray(0, 1000));
    held.push(() => response.end(blob.subarray(1000)));
    return true;
  };
  const pulled = opened.images.pull({ reference: `${registry.host}/large:1`, job: testJob(), signal });
  pulled.catch(() => undefined);
  const unpackers = async (): Promise<number> => {
    const children = await readFile(`/proc/self/task/${process.pid}/children`, "utf8");
    const names = children.split(" ").map((pid) => readFile(`/proc/${pid}/comm`, "utf8").catch(() => ""));
    return (await Promise.all(names)).filter((name) => name === "luajit\n").length;
  };
  while (held.length < 2 || (await unpackers()) < 2) await new Promise(setImmediate);
  const before = { cpu: process.cpuUsage(), at: performance.now() };
  for (const finish of held) finish();
  await pulled;
  const { user, system } = process.cpuUsage(before.cpu);
  const share = (user + system) / 1000 / (performance.now() - before.at);
  assert.ok(share < 0.5, `busy for ${Math.round(share * 100)} % of the time`);
});
