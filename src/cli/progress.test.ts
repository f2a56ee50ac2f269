import assert from "node:assert/strict";
import { test } from "node:test";
import { partLine } from "./progress.ts";

const part = {
  name: `sha256:${"0123456789ab".repeat(5)}0123`,
  stage: "transferring",
  peer: "mirror.example",
  done_bytes: "12345678",
  total_bytes: "45678901",
  bytes_per_second: "3400000",
};

for (const [change, expected] of [
  [{}, "sha256:0123456789ab  transferring  12.3 MB of 45.7 MB  27%  3.40 MB/s  mirror.example"],
  [
    { total_bytes: "0", done_bytes: "0" },
    "sha256:0123456789ab  transferring  0 B of 0 B  100%  3.40 MB/s  mirror.example",
  ],
  [{ stage: "waiting", peer: "" }, "sha256:0123456789ab  waiting       45.7 MB"],
  [{ stage: "done", peer: "a\u001b[2Jb" }, "sha256:0123456789ab  done          45.7 MB  a\\x1b[2Jb"],
] as const) {
  test(`progress: ${expected}`, () => {
    assert.equal(partLine({ ...part, ...change }), expected);
  });
}
