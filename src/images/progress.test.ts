import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../core/digest.ts";
import { createProgress } from "./progress.ts";

const digest = parseDigest(`sha256:${"a".repeat(64)}`);
const other = parseDigest(`sha256:${"b".repeat(64)}`);

test("progress: tells every stage and byte to who looks, and sums up what was transferred", () => {
  const progress = createProgress("from", [
    { digest, size: 1000 },
    { digest: other, size: 5 },
  ]);
  const seen = (): string =>
    progress
      .parts()
      .map((part) => [part.stage, part.doneBytes, part.totalBytes, part.peer].join(" "))
      .join(", ");
  assert.equal(seen(), "waiting 0 1000 , waiting 0 5 ");
  progress.started(digest);
  assert.equal(seen(), "transferring 0 1000 , waiting 0 5 ");
  progress.moved(digest, 1, "mirror.example");
  assert.equal(seen(), "transferring 1 1000 mirror.example, waiting 0 5 ");
  progress.moved(digest, 1000, "registry.example");
  progress.transferred(digest);
  assert.equal(seen(), "finishing 1000 1000 registry.example, waiting 0 5 ");
  progress.landed(digest);
  progress.landed(other);
  assert.equal(seen(), "done 1000 1000 registry.example, ready 0 5 ");
  const [first, second] = progress.parts();
  assert.ok((first?.bytesPerSecond ?? 0) > 0);
  assert.equal(second?.bytesPerSecond, 0);
  assert.equal(progress.summary().length, 1);
  assert.match(
    progress.summary()[0] ?? "",
    /^layer sha256:a+: 1000 bytes from registry\.example in [\d.]+ s, /,
  );
});

test("progress: a download that begins anew counts anew", () => {
  const progress = createProgress("from", [{ digest, size: 1000 }]);
  progress.started(digest);
  progress.moved(digest, 600, "a");
  progress.started(digest);
  assert.equal(progress.parts()[0]?.doneBytes, 0);
});
