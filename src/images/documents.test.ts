import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig, parseDocument } from "./documents.ts";

const digest = `sha256:${"b".repeat(64)}`;
const config = { mediaType: "application/vnd.docker.container.image.v1+json", digest, size: 3 };
const layer = { mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip", digest, size: 5 };

test("documents: a Docker manifest", () => {
  const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
  const found = parseDocument(
    JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] }),
    "m",
    mediaType,
  );
  assert.deepEqual(found, { kind: "manifest", config, layers: [layer] });
});

test("documents: a manifest without a media type is known by what it holds", () => {
  assert.equal(parseDocument(JSON.stringify({ schemaVersion: 2, config, layers: [] }), "m").kind, "manifest");
  assert.equal(parseDocument(JSON.stringify({ schemaVersion: 2, manifests: [] }), "m").kind, "index");
});

test("documents: a config of another type is an artifact's, whose type the manifest may tell", () => {
  const odd = { ...config, mediaType: "application/vnd.x" };
  const layers = [{ ...layer, mediaType: "text/plain" }];
  const kinds = [{}, { artifactType: "application/vnd.y" }].map((more) => {
    const found = parseDocument(JSON.stringify({ schemaVersion: 2, config: odd, layers, ...more }), "m");
    return found.kind === "artifact" ? found.artifactType : found.kind;
  });
  assert.deepEqual(kinds, ["application/vnd.x", "application/vnd.y"]);
});

const bad: readonly (readonly [string, object, RegExp])[] = [
  ["schema 1", { schemaVersion: 1, fsLayers: [] }, /schema version 1 is not supported/],
  [
    "both kinds",
    { schemaVersion: 2, manifests: [], layers: [], config },
    /neither an image manifest nor an index/,
  ],
  [
    "an artifact of a foreign layer",
    {
      schemaVersion: 2,
      config: { ...config, mediaType: "application/vnd.x" },
      layers: [{ ...layer, mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar" }],
    },
    /foreign layer/,
  ],
  [
    "an unknown layer",
    { schemaVersion: 2, config, layers: [{ ...layer, mediaType: "text/plain" }] },
    /text\/plain, which is not supported/,
  ],
  [
    "a negative size",
    { schemaVersion: 2, config, layers: [{ ...layer, size: -1 }] },
    /is not a number of bytes/,
  ],
  [
    "a size beyond 2^53",
    { schemaVersion: 2, config, layers: [{ ...layer, size: 2 ** 60 }] },
    /is not a number of bytes/,
  ],
  [
    "too many layers",
    { schemaVersion: 2, config, layers: Array(200).fill(layer) },
    /200 layers, more than 127/,
  ],
  [
    "features that are no list",
    {
      schemaVersion: 2,
      manifests: [{ ...layer, platform: { os: "linux", architecture: "amd64", "os.features": "x" } }],
    },
    /os\.features is not a list of strings/,
  ],
  ["no descriptor", { schemaVersion: 2, config: null, layers: [] }, /a descriptor is not an object/],
];

for (const [name, document, message] of bad) {
  test(`documents: refuses ${name}`, () => {
    assert.throws(() => parseDocument(JSON.stringify(document), "manifest of x"), { message });
  });
}

test("documents: an index says what each platform demands", () => {
  const platform = { os: "linux", architecture: "amd64", "os.version": "6.1", "os.features": ["erofs"] };
  const index = parseDocument(
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...layer, platform }] }),
    "index",
  );
  assert.ok(index.kind === "index");
  const features = ["erofs"];
  assert.deepEqual(index.manifests[0]?.platform, { os: "linux", architecture: "amd64", features });
});

test("documents: a config gives its process; labels are not taken (cve-2026-53488)", () => {
  const text = JSON.stringify({
    architecture: "arm64",
    os: "linux",
    variant: "v8",
    config: {
      Entrypoint: ["/e"],
      Cmd: null,
      Env: ["A=1"],
      WorkingDir: "/w",
      User: "1:2",
      StopSignal: "SIGINT",
      Labels: { a: "b" },
    },
    rootfs: { type: "layers", diff_ids: [digest] },
  });
  assert.deepEqual(parseConfig(text, "c"), {
    diffIds: [digest],
    platform: { os: "linux", architecture: "arm64", variant: "v8" },
    process: {
      entrypoint: ["/e"],
      cmd: [],
      env: ["A=1"],
      workingDir: "/w",
      user: "1:2",
      volumes: [],
      stopSignal: "SIGINT",
    },
  });
  for (const config of [{ Cmd: "sh" }, { Env: [1] }, { User: 3 }]) {
    const odd = JSON.stringify({ config, rootfs: { type: "layers", diff_ids: [] } });
    assert.throws(() => parseConfig(odd, "config of x"), { message: /config of x: (Cmd|Env|User) is not/ });
  }
  assert.throws(() => parseConfig("{}", "config of x"), { message: /no rootfs/ });
});
