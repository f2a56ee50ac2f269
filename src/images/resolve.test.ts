import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../core/digest.ts";
import type { Image } from "../core/image.ts";
import { isPinned } from "./pinned.ts";
import { resolveImage } from "./resolve.ts";

const process = { entrypoint: [], cmd: [], env: [], workingDir: "", user: "", volumes: [], stopSignal: "" };
const imageOf = (hex: string, manifestHex: string, tags: string[], repoDigests: string[]): Image => ({
  id: parseDigest(`sha256:${hex.padEnd(64, "0")}`),
  manifest: parseDigest(`sha256:${manifestHex.padEnd(64, "0")}`),
  tags,
  repoDigests,
  layers: [],
  process,
  sizeBytes: 1,
  pinned: false,
});
const index = `sha256:${"e".repeat(64)}`;
const a = imageOf("abcd1", "1", ["docker.io/library/busybox:latest"], [`docker.io/library/busybox@${index}`]);
const b = imageOf("abcd2", "2", ["quay.io/x/b:1", "docker.io/library/beef:latest"], []);
const images = new Map([a, b].map((image) => [image.id, image]));

const cases: readonly (readonly [string, Image | undefined])[] = [
  [a.id, a],
  [a.id.slice(7), a],
  ["abcd1", a],
  ["sha256:abcd2", b],
  ["abc", undefined],
  ["busybox", a],
  ["busybox:latest", a],
  ["busybox:other", undefined],
  [`busybox@${index}`, a],
  [`busybox@${a.manifest}`, a],
  [`quay.io/x/b@${a.manifest}`, undefined],
  [a.manifest, a],
  ["beef", b],
  ["ffff", undefined],
];

for (const [text, expected] of cases) {
  test(`resolve: ${text}`, () => {
    assert.equal(resolveImage(images, text), expected);
  });
}

test("resolve: an ambiguous prefix and impossible text are refused", () => {
  assert.throws(() => resolveImage(images, "abcd"), {
    code: "invalid-argument",
    message: /ambiguous: 2 images/,
  });
  assert.throws(() => resolveImage(images, "no such"), { code: "invalid-argument" });
});

test("pinned: * stands for any text, all else for itself", () => {
  assert.equal(isPinned("registry.k8s.io/pause:3.10", ["registry.k8s.io/pause:*"]), true);
  assert.equal(isPinned("registry.k8s.io/pause:3.10", ["*"]), true);
  assert.equal(isPinned("registryxk8s.io/pause:3.10", ["registry.k8s.io/pause:*"]), false);
  assert.equal(isPinned("a/registry.k8s.io/pause:3", ["registry.k8s.io/pause:*"]), false);
});
