import assert from "node:assert/strict";
import { test } from "node:test";
import { guestAvailable, runInGuest } from "./guest.ts";

/** Longer than the suite takes in the guest, whose system calls are slow. */
const suiteTimeoutMs = 120_000;
const suite = "test/cni/vlan.test.ts";

test(`vlan: ${suite} passes in the guest`, { timeout: suiteTimeoutMs + 30_000 }, async (t) => {
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
  assert.match(output, /✔ vlan: pods of one VLAN reach each other/);
});
