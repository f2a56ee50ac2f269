import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { listPaths, openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { ociTypes, sha256 } from "./registry.ts";
import { buildTar, type RawEntry } from "./tar-builder.ts";

const { signal } = new AbortController();
const architecture = process.arch === "arm64" ? "arm64" : "amd64";
const layerTar = buildTar([{ name: "hello", data: "hello" }]);
const layerBlob = gzipSync(layerTar);
const config = Buffer.from(
  JSON.stringify({
    os: "linux",
    architecture,
    config: { Cmd: ["/hello"] },
    rootfs: { type: "layers", diff_ids: [sha256(layerTar), sha256(layerTar)] },
  }),
);
const blobName = (bytes: Uint8Array): string => `blobs/sha256/${sha256(bytes).slice(7)}`;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const manifest = json({
  schemaVersion: 2,
  mediaType: ociTypes.manifest,
  config: { mediaType: ociTypes.config, digest: sha256(config), size: config.length },
  layers: [1, 2].map(() => ({ mediaType: ociTypes.gzip, digest: sha256(layerBlob), size: layerBlob.length })),
});
const entryOf = (annotations: object): object => ({
  mediaType: ociTypes.manifest,
  digest: sha256(manifest),
  size: manifest.length,
  annotations,
});
const ociBlobs: readonly RawEntry[] = [layerBlob, config, manifest].map((data) => ({
  name: blobName(data),
  data,
}));
const layoutOf = (manifests: readonly object[]): RawEntry[] => [
  ...ociBlobs,
  { name: "oci-layout", data: '{"imageLayoutVersion":"1.0.0"}' },
  { name: "index.json", data: json({ schemaVersion: 2, mediaType: ociTypes.index, manifests }) },
];
const saved = (change: object = {}): RawEntry[] => [
  { name: "first/layer.tar", data: layerTar },
  { name: "second/layer.tar", type: "2", linkName: "../first/layer.tar" },
  { name: `${sha256(config).slice(7)}.json`, data: config },
  {
    name: "manifest.json",
    data: json([
      {
        Config: `${sha256(config).slice(7)}.json`,
        RepoTags: ["hello:1"],
        Layers: ["first/layer.tar", "second/layer.tar"],
        ...change,
      },
    ]),
  },
];

/** An archive in odd pieces, as a socket may give it. */
async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 777) {
    await Promise.resolve();
    yield bytes.subarray(at, at + 777);
  }
}

const good: readonly {
  readonly name: string;
  readonly entries: RawEntry[];
  readonly tags: string[];
  readonly manifest?: string;
}[] = [
  {
    name: "an OCI layout with names of containerd",
    entries: layoutOf([entryOf({ "io.containerd.image.name": "quay.io/x/hello:2" })]),
    tags: ["quay.io/x/hello:2"],
    manifest: sha256(manifest),
  },
  {
    name: "an OCI layout with a bare tag",
    entries: layoutOf([entryOf({ "org.opencontainers.image.ref.name": "1.0" })]),
    tags: [],
    manifest: sha256(manifest),
  },
  {
    name: "an OCI layout with two names of one image",
    entries: layoutOf([
      entryOf({ "io.containerd.image.name": "docker.io/library/a:1" }),
      entryOf({ "io.containerd.image.name": "docker.io/library/b:1" }),
    ]),
    tags: ["docker.io/library/a:1", "docker.io/library/b:1"],
    manifest: sha256(manifest),
  },
  { name: "docker save, old", entries: saved(), tags: ["docker.io/library/hello:1"] },
  {
    name: "docker save, new",
    entries: [
      ...layoutOf([entryOf({})]),
      {
        name: "manifest.json",
        data: json([{ Config: blobName(config), RepoTags: ["hello:3"], Layers: [] }]),
      },
    ],
    tags: ["docker.io/library/hello:3"],
    manifest: sha256(manifest),
  },
];

for (const { name, entries, tags, manifest: digest } of good) {
  test(`import: ${name}`, async () => {
    await using folder = await temporaryFolder();
    await using opened = await openTestImages(folder.path);
    const before = await listPaths(opened.root);
    const [image, ...more] = await opened.images.import({
      stream: inPieces(buildTar(entries)),
      job: testJob(),
      signal,
    });
    assert.ok(image !== undefined && more.length === 0);
    assert.deepEqual(image.tags, tags);
    assert.equal(image.id, sha256(config));
    if (digest !== undefined) assert.equal(image.manifest, digest, "the manifest is the archive's own");
    assert.equal((await opened.images.readImageFile(image, "/hello", 10))?.toString(), "hello");
    const paths = await listPaths(opened.root);
    assert.deepEqual(
      paths.filter((path) => path.startsWith("tmp/")),
      [],
    );
    assert.equal(
      paths.filter((path) => path.endsWith("layer.json")).length,
      1,
      "a repeated layer is kept once",
    );
    await opened.images.remove(image.id);
    assert.deepEqual(await listPaths(opened.root), before);
  });
}

test("import: a given reference names the image", async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path);
  const request = { stream: inPieces(buildTar(saved())), reference: "mine", job: testJob(), signal };
  assert.deepEqual((await opened.images.import(request))[0]?.tags, ["docker.io/library/mine:latest"]);
});

const bad: readonly { readonly name: string; readonly bytes: Buffer; readonly message: RegExp }[] = [
  { name: "no tar", bytes: Buffer.alloc(2000, 65), message: /damaged, or it is no tar|no valid size/ },
  {
    name: "nothing in it",
    bytes: buildTar([{ name: "x" }]),
    message: /neither index.json nor manifest.json/,
  },
  { name: "cut short", bytes: buildTar(saved()).subarray(0, 700), message: /truncated/ },
  { name: "a name outside", bytes: buildTar([{ name: "../x" }]), message: /outside of it/ },
  {
    name: "a layer path outside (cve-2014-9356)",
    bytes: buildTar(saved({ Layers: ["../../../etc/passwd", "/etc/passwd"] })),
    message: /"..\/..\/..\/etc\/passwd" is missing/,
  },
  {
    name: "a link outside",
    bytes: buildTar([
      { name: "l", type: "2", linkName: "../../etc/passwd" },
      ...saved({ Layers: ["l", "l"] }),
    ]),
    message: /"l" is missing/,
  },
  {
    name: "a link to itself",
    bytes: buildTar([{ name: "l", type: "2", linkName: "l" }, ...saved({ Layers: ["l", "l"] })]),
    message: /links l to itself/,
  },
  {
    name: "a blob that is not what its name says",
    bytes: buildTar(
      layoutOf([entryOf({})]).map((entry) => (entry.data === layerBlob ? { ...entry, data: "x" } : entry)),
    ),
    message: /layer of the archive: sha256:\w+ is missing or damaged/,
  },
  {
    name: "a diff id that does not fit",
    bytes: buildTar(
      saved().map((entry) => (entry.data === layerTar ? { ...entry, data: buildTar([]) } : entry)),
    ),
    message: /the image's config says/,
  },
];

for (const { name, bytes, message } of bad) {
  test(`import: refuses ${name}`, async () => {
    await using folder = await temporaryFolder();
    await using opened = await openTestImages(folder.path);
    const before = await listPaths(opened.root);
    await assert.rejects(opened.images.import({ stream: inPieces(bytes), job: testJob(), signal }), {
      message,
    });
    assert.deepEqual(await listPaths(opened.root), before);
  });
}
