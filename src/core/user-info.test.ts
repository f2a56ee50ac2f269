import assert from "node:assert/strict";
import { test } from "node:test";
import { referenceToShow, withoutUserInfo } from "./user-info.ts";

test("user info: a URL is shown without its name and password", () => {
  assert.equal(
    withoutUserInfo("see https://ann:x@host/y and http://b@h"),
    "see https://<redacted>@host/y and http://<redacted>@h",
  );
  assert.equal(withoutUserInfo("https://host/a@b"), "https://host/a@b");
});

const digest = `sha256:${"a".repeat(64)}`;

for (const [text, shown] of [
  ["busybox", "busybox"],
  ["host:5000/a/b:1", "host:5000/a/b:1"],
  [`host:5000/a:1@${digest}`, `host:5000/a:1@${digest}`],
  ["ann:x@host/a:1", "<redacted>@host/a:1"],
  [`ann:x@host/a:1@${digest}`, `<redacted>@host/a:1@${digest}`],
  ["ann:p@ss/word@host/a", "<redacted>@host/a"],
  ["https://ann:x@host/a", "<redacted>@host/a"],
] as const) {
  test(`user info: the reference ${text}`, () => {
    assert.equal(referenceToShow(text), shown);
  });
}
