import assert from "node:assert/strict";
import { test } from "node:test";
import { fileAsTar, readContents, type ManifestContents } from "./artifact.ts";
import { digestOf } from "./commit.ts";
import type { Descriptor } from "./documents.ts";

const digest = digestOf(Buffer.from("content"));
const config: Descriptor = { mediaType: "application/vnd.oci.empty.v1+json", digest, size: 2 };

function layer(title: string | undefined, mediaType = "text/plain"): Descriptor {
  const annotations = title === undefined ? {} : { "org.opencontainers.image.title": title };
  return { mediaType, digest, size: 7, annotations };
}

function read(...layers: readonly Descriptor[]): ManifestContents {
  return readContents({ kind: "artifact", artifactType: "x/y", config, layers }, Buffer.from("{}"), "r/a:1");
}

test("artifacts: tars are unpacked, all else is a file by its title, or by its digest without one", () => {
  const hex = digest.slice("sha256:".length);
  const { artifact, config } = read(
    layer("a/b.bin"),
    layer(undefined),
    layer("ignored", "application/vnd.oci.image.layer.v1.tar+gzip"),
  );
  assert.deepEqual(artifact, {
    type: "x/y",
    parts: [
      { kind: "file", path: "a/b.bin", sizeBytes: 7 },
      { kind: "file", path: `sha256-${hex}`, sizeBytes: 7 },
      { kind: "tar" },
    ],
  });
  assert.equal(new Set([...config.diffIds, digest]).size, 4, "equal blobs in other places are other trees");
  assert.deepEqual(read(layer("a/b.bin")).config.diffIds, config.diffIds.slice(0, 1));
});

test("artifacts: an image's config without a root file system describes tars", () => {
  const mediaType = "application/vnd.oci.image.config.v1+json";
  const layers = [layer("layer0.tar", "application/vnd.oci.image.layer.v1.tar")];
  const document = { kind: "manifest", config: { ...config, mediaType }, layers } as const;
  const found = readContents(document, Buffer.from('{"architecture":"amd64","os":"linux"}'), "r/a:1");
  assert.deepEqual(found.artifact, { type: mediaType, parts: [{ kind: "tar" }] });
});

for (const title of [
  "../escape",
  "a/../../b",
  "/etc/passwd",
  "a//b",
  "a/",
  "./a",
  "..",
  "a\0b",
  "a\nb",
  ".wh.hidden",
  "a/.wh..wh..opq",
  "n".repeat(256),
  "d/".repeat(2500) + "f",
]) {
  test(`artifacts: the name ${JSON.stringify(title.slice(0, 20))} is refused`, () => {
    assert.throws(() => read(layer(title)), {
      message: new RegExp(`^artifact r/a:1: layer ${digest} is named ".*", which `),
    });
  });
}

for (const [sent, expected] of [
  ["short", /not 7 bytes/],
  ["too long", /not 7 bytes/],
] as const) {
  test(`artifacts: a file that is ${sent} has not the size that the manifest says`, async () => {
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(sent);
      await Promise.resolve();
    };
    await assert.rejects(async () => {
      for await (const chunk of fileAsTar({ kind: "file", path: "f", sizeBytes: 7 }, bytes()))
        assert.ok(chunk);
    }, expected);
  });
}
