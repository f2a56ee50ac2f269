import assert from "node:assert/strict";
import { test } from "node:test";
import { guestAvailable, runInGuest } from "../vm/guest.ts";

/** Suites of this folder that hold on unified cgroup v2 as they do here. */
const suites = ["cgroup/kernel", "cgroup", "limits", "endings", "lifecycle", "stdio", "exec"] as const;

const timeoutMs = 240_000;

for (const name of suites) {
  test(`on unified cgroup v2, in a guest: ${name}`, async (t) => {
    const guest = await guestAvailable();
    if (!guest.ok) {
      t.skip(guest.reason);
      return;
    }
    const { status, output } = await runInGuest(["node", `test/shim/${name}.test.ts`], { timeoutMs });
    assert.equal(status, 0, output.slice(-4000));
    assert.match(output, /^ℹ pass [1-9]/m, output.slice(-4000));
  });
}
