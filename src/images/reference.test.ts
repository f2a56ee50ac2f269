import assert from "node:assert/strict";
import { test } from "node:test";
import { formatReference, parseReference } from "./reference.ts";

const digest = `sha256:${"a".repeat(64)}`;

const good: readonly (readonly [string, string])[] = [
  ["busybox", "docker.io/library/busybox:latest"],
  ["busybox:1.36", "docker.io/library/busybox:1.36"],
  ["user/app", "docker.io/user/app:latest"],
  ["docker.io/busybox", "docker.io/library/busybox:latest"],
  ["index.docker.io/library/busybox", "docker.io/library/busybox:latest"],
  ["registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"],
  ["localhost/app", "localhost/app:latest"],
  ["localhost:5000/app:v1", "localhost:5000/app:v1"],
  ["127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x"],
  ["[::1]:5000/app", "[::1]:5000/app:latest"],
  ["[fd00::1]/app:1", "[fd00::1]/app:1"],
  ["Registry.Example/app", "Registry.Example/app:latest"],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`],
  [`quay.io/x/y:tag@${digest}`, `quay.io/x/y@${digest}`],
  ["a.b/x__y/z-1.2--3", "a.b/x__y/z-1.2--3:latest"],
];

for (const [text, formatted] of good) {
  test(`reference: ${text}`, () => {
    assert.equal(formatReference(parseReference(text)), formatted);
  });
}

const bad: readonly (readonly [string, RegExp])[] = [
  ["", /no name/],
  [":1", /no name/],
  ["UPPER", /must be lower case/],
  ["quay.io/Upper", /must be lower case/],
  ["a//b", /invalid repository/],
  ["a/../b", /invalid repository/],
  ["../../etc/passwd", /invalid/],
  ["busybox:", /invalid tag/],
  ["busybox:a b", /invalid tag/],
  [`busybox:${"t".repeat(129)}`, /invalid tag/],
  ["busybox@sha256:abc", /digest/],
  [`busybox@sha512:${"a".repeat(128)}`, /digest/],
  ["https://quay.io/x", /invalid/],
  ["-a.example/x", /invalid registry host/],
  ["h:99999999/x", /invalid/],
  [`quay.io/${"a".repeat(260)}`, /longer than 255/],
  ["busybox\n", /invalid/],
];

for (const [text, message] of bad) {
  test(`reference: refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(() => parseReference(text), { code: "invalid-argument", message });
  });
}

test("reference: tag and digest are both kept", () => {
  const { registry, repository, tag, digest: found } = parseReference(`quay.io/x/y:tag@${digest}`);
  assert.deepEqual([registry, repository, tag, found], ["quay.io", "x/y", "tag", digest]);
});
