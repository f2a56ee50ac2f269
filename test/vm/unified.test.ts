import assert from "node:assert/strict";
import { test } from "node:test";
import { guestAvailable, runInGuest } from "./guest.ts";

/** Suites whose every test has to hold on unified cgroup v2 as well as on the hierarchies of the machine itself. */
const suites = [
  "test/runtime/apparmor.test.ts",
  "test/runtime/lifecycle.test.ts",
  "test/stats/stats.test.ts",
  "test/stats/metrics.test.ts",
  "test/stats/streams.test.ts",
];

/** Longer than any suite takes in the guest, whose system calls are slow. */
const suiteTimeoutMs = 180_000;

for (const suite of suites) {
  test(`unified cgroup v2: ${suite} passes in the guest`, { timeout: suiteTimeoutMs + 30_000 }, async (t) => {
    const guest = await guestAvailable();
    if (!guest.ok) {
      t.skip(guest.reason);
      return;
    }
    const { status, output } = await runInGuest(["node", "--test", "--test-timeout=60000", suite], {
      timeoutMs: suiteTimeoutMs,
    });
    assert.equal(status, 0, output);
    assert.match(output, /ℹ fail 0/);
  });
}
