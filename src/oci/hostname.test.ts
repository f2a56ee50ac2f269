import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { checkHostname } from "./hostname.ts";

test("hostname: what sethostname and /etc/hosts take", () => {
  for (const name of ["", "a", "web-0", "web-0.ns.svc", "A_b", "a".repeat(64)]) checkHostname(name);
  for (const name of ["a".repeat(65), "a b", "a\n127.0.0.1 x", "-a", "a-", "a/b", "ä", "a\0"]) {
    assert.throws(
      () => {
        checkHostname(name);
      },
      (error) => hasCode(error, "invalid-argument"),
      JSON.stringify(name),
    );
  }
});
