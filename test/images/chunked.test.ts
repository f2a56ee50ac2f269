import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { newContainerId } from "../../src/core/ids.ts";
import { estargzLayer, zstdChunkedLayer, type ChunkedLayer } from "./chunked.ts";
import { describeTree, openTestImages, prepareOverlay, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer, putImage, sha256, startRegistry, type TestLayer } from "./registry.ts";
import type { RawEntry } from "./tar-builder.ts";

const { signal } = new AbortController();

const entries: readonly RawEntry[] = [
  { name: "d/", type: "5", mode: 0o750, uid: 7 },
  { name: "d/small", data: "small", mode: 0o4755 },
  { name: "d/empty" },
  { name: "d/large", data: Buffer.alloc(3_000_000, "chunk") },
  { name: "link", type: "2", linkName: "d/small" },
  { name: "hard", type: "1", linkName: "d/small" },
  { name: "d/.wh.gone" },
];

/** The tree of an image of one layer, pulled. */
async function pullTree(layer: TestLayer, annotations?: ChunkedLayer["annotations"]): Promise<string[]> {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const layers = [
    { mediaType: layer.mediaType, digest: sha256(layer.blob), size: layer.blob.length, annotations },
  ];
  putImage(registry, "chunked", "1", [layer], { manifest: { layers } });
  const { image } = await opened.images.pull({
    reference: `${registry.host}/chunked:1`,
    job: testJob(),
    signal,
  });
  const { layersDir, lowers } = await prepareOverlay(opened.images, newContainerId(), image);
  return await describeTree(join(layersDir, lowers[0] ?? ""));
}

/** But for what has the time at which the tree was made: its root, and whiteouts. */
const comparable = (lines: readonly string[]): readonly string[] =>
  lines.filter((line) => !line.startsWith(". ")).map((line) => line.replace(/^(\S+ 20000 .*) \S+ $/, "$1"));

test("zstd:chunked: a layer is unpacked as the plain one that it also is", async () => {
  const layer = zstdChunkedLayer(entries);
  const plain = await pullTree(gzipLayer(entries));
  assert.deepEqual(comparable(await pullTree(layer, layer.annotations)), comparable(plain));
  assert.equal(plain.length, entries.length + 1);
});

test("zstd:chunked: the fixture is a zstd file", () => {
  const layer = zstdChunkedLayer(entries);
  assert.equal(sha256(zstdDecompressSync(layer.blob)), sha256(layer.tar));
});

test("eStargz: a layer is unpacked as the plain one that it also is, with its table of contents", async () => {
  const layer = estargzLayer(entries);
  assert.equal(sha256(gunzipSync(layer.blob)), sha256(layer.tar), "the fixture is a gzip file");
  const plain = await pullTree(gzipLayer(entries));
  const ours = await pullTree(layer, layer.annotations);
  const own = /^(\.no\.prefetch\.landmark|stargz\.index\.json) /;
  assert.deepEqual(comparable(ours.filter((line) => !own.test(line))), comparable(plain));
  assert.equal(ours.filter((line) => own.test(line)).length, 2, "files of the tar like others");
});

for (const [format, layer] of [
  ["zstd:chunked", zstdChunkedLayer(entries)],
  ["eStargz", estargzLayer(entries)],
] as const) {
  test(`${format}: annotations that lie change nothing, what is missing at the end is missed`, async () => {
    const lies = Object.fromEntries(Object.keys(layer.annotations).map((key) => [key, "1:2:3:4"]));
    const [lied, honest] = [await pullTree(layer, lies), await pullTree(layer, layer.annotations)];
    assert.deepEqual(comparable(lied), comparable(honest));
    const cut = { ...layer, blob: layer.blob.subarray(0, -3) };
    await assert.rejects(pullTree(cut, layer.annotations), { code: "failed-precondition" });
  });
}
