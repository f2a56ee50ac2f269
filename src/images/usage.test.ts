import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest, type Digest } from "../core/digest.ts";
import type { Image, Layer } from "../core/image.ts";
import { bytesFreed, usageByImage, type StoreContents } from "./usage.ts";

const digest = (digit: string): Digest => parseDigest(`sha256:${digit.repeat(64)}`);

function layer(digit: string, sizeBytes: number): [Digest, Layer] {
  return [digest(digit), { diffId: digest(digit), folder: digit, sizeBytes, inodes: 1 }];
}

function image(id: string, layers: readonly string[], blobs: readonly string[] = []): [Digest, Image] {
  const process = { entrypoint: [], cmd: [], env: [], workingDir: "", user: "", volumes: [], stopSignal: "" };
  return [
    digest(id),
    {
      ...{ id: digest(id), tags: [], repoDigests: [], manifest: digest(id), process },
      layers: layers.map(digest),
      blobs: blobs.map(digest),
      sizeBytes: 0,
      pinned: false,
    },
  ];
}

const contents: StoreContents = {
  images: new Map([image("a", ["1", "2"], ["d"]), image("b", ["1", "3", "3"], ["d", "e"])]),
  layers: new Map([layer("1", 100), layer("2", 20), layer("3", 3)]),
  snapshots: new Map([
    ["container", { layers: [digest("1"), digest("2"), digest("3")], root: [digest("1"), digest("2")] }],
  ]),
  blobs: new Map([
    [digest("a"), 1000],
    [digest("b"), 2000],
    [digest("d"), 10_000],
    [digest("e"), 20_000],
  ]),
};

test("usage: an image's own bytes are those that nothing else refers to", () => {
  const { images, layers, blobBytes } = usageByImage(contents);
  assert.deepEqual(
    images.map(({ totalBytes, ownBytes }) => [totalBytes, ownBytes]),
    [
      [11_120, 1000],
      // A repeated layer counts once; an image volume holds layer 3.
      [32_103, 22_000],
    ],
  );
  assert.deepEqual(
    layers.map(({ images: by, containers }) => [by.length, containers.length]),
    [
      [2, 1],
      [1, 1],
      [1, 1],
    ],
  );
  assert.equal(blobBytes, 33_000);
});

test("usage: images removed together free what only they share", () => {
  assert.equal(bytesFreed(contents, [digest("a"), digest("b")]), 33_000);
  const none = { ...contents, snapshots: new Map<string, never>() };
  assert.equal(bytesFreed(none, [digest("a")]), 1020);
  assert.equal(bytesFreed(none, [digest("a"), digest("b")]), 33_123);
  assert.equal(bytesFreed(none, []), 0);
});
