import assert from "node:assert/strict";
import { test } from "node:test";
import { ownerComment, ownerMark, staleMarks } from "./owner.ts";

test("owner: a comment, and a hash of what is too long", () => {
  assert.equal(ownerComment("c", "eth0"), "c eth0");
  assert.match(ownerComment("c".repeat(200), "eth0"), /^[0-9a-f]{64}$/);
});

test("owner: stale marks are a network's own of attachments that are gone", () => {
  const isStale = staleMarks("pods", [{ containerID: "here", ifname: "eth0" }]);
  for (const [mark, expected] of [
    [ownerMark("pods", "here", "eth0"), false],
    [ownerMark("pods", "here", "net1"), true],
    [ownerMark("pods", "gone", "eth0"), true],
    [ownerMark("other", "gone", "eth0"), false],
    ["an administrator's", false],
    ["", false],
  ] as const) {
    assert.equal(isStale(mark), expected, mark);
  }
  assert.ok(ownerMark("n".repeat(300), "c".repeat(300), "eth0").length <= 146);
});
