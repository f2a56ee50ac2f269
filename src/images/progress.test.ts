import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDigest } from "../core/digest.ts";
import type { PartProgress } from "../core/job.ts";
import { createProgress } from "./progress.ts";

const digest = parseDigest(`sha256:${"a".repeat(64)}`);
const other = parseDigest(`sha256:${"b".repeat(64)}`);

test("progress: every stage is reported, bytes at a limited rate, and what was transferred is summed up", () => {
  const reports: (readonly PartProgress[])[] = [];
  const progress = createProgress(
    "from",
    [
      { digest, size: 1000 },
      { digest: other, size: 5 },
    ],
    (parts) => reports.push(parts),
  );
  progress.started(digest);
  for (let bytes = 1; bytes <= 1000; bytes++) progress.moved(digest, bytes, "mirror.example");
  progress.transferred(digest);
  progress.landed(digest);
  progress.landed(other);
  const stages = reports.map((parts) => parts.map(({ stage }) => stage).join(" "));
  assert.deepEqual(
    [...new Set(stages)],
    ["waiting waiting", "transferring waiting", "finishing waiting", "done waiting", "done ready"],
  );
  assert.ok(reports.length < 100, `${reports.length} reports of 1000 pieces`);
  assert.deepEqual(
    reports.at(-1)?.map(({ name, peer, doneBytes, totalBytes }) => ({ name, peer, doneBytes, totalBytes })),
    [
      { name: digest, peer: "mirror.example", doneBytes: 1000, totalBytes: 1000 },
      { name: other, peer: "", doneBytes: 0, totalBytes: 5 },
    ],
  );
  assert.deepEqual(progress.summary().length, 1);
  assert.match(progress.summary()[0] ?? "", /^layer sha256:a+: 1000 bytes from mirror.example in [\d.]+ s, /);
});
