import assert from "node:assert/strict";
import { test } from "node:test";
import { redacted } from "./redacted.ts";

test("redacted: credentials in addresses go, everything else stays", () => {
  assert.deepEqual(
    redacted({
      path: "/etc/berth/a@b",
      mirrors: ["https://ann:secret@mirror.example:5000/v2", "busybox:1@sha256:0", "localhost:5000"],
      nested: { proxy: "http://token@proxy:3128" },
      number: 3,
      none: null,
    }),
    {
      path: "/etc/berth/a@b",
      mirrors: ["https://<redacted>@mirror.example:5000/v2", "busybox:1@sha256:0", "localhost:5000"],
      nested: { proxy: "http://<redacted>@proxy:3128" },
      number: 3,
      none: null,
    },
  );
});
