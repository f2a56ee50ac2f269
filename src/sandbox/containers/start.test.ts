import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeError } from "../../core/errors.ts";
import type { Job } from "../../core/job.ts";
import type { ShimConnection } from "../../shim/client/index.ts";
import type { ShimState } from "../../shim/protocol/messages.ts";
import { openStore } from "../../store/index.ts";
import { LifecycleEvents } from "../events.ts";
import { Inventory } from "../inventory.ts";
import { containerRecord, podRecord } from "../records.fixture.ts";
import type { EndDeps } from "./end.ts";
import { startContainer } from "./start.ts";

const job: Job = {
  id: "test",
  signal: new AbortController().signal,
  stage: (_name, work) => work(),
  note: () => undefined,
};

/** Starts a created container whose shim refuses that and says `state` when asked; how often it was deleted. */
async function startRefused(state: Pick<ShimState, "status" | "startedAt">) {
  const folder = await mkdtemp(join(tmpdir(), "berth-start-"));
  const store = await openStore(join(folder, "store"));
  try {
    const inventory = new Inventory(store);
    const clock = (): bigint => 9n;
    const pod = await inventory.addPod(podRecord());
    const record = containerRecord(pod.id, { state: { state: "created", pid: 42 } });
    const entry = await inventory.addContainer(pod, record);
    const refused = new RuntimeError("failed-precondition", "start: the container is not created");
    let deleted = 0;
    entry.shim = {
      start: () => Promise.reject(refused),
      state: () => Promise.resolve(state),
      delete: () => Promise.resolve(++deleted),
      close: () => undefined,
    } as unknown as ShimConnection;
    const deps = { inventory, clock, events: new LifecycleEvents(clock) } as unknown as EndDeps;
    const failure: unknown = await startContainer(deps, entry, job).catch((thrown: unknown) => thrown);
    return { failure, deleted, state: entry.record.state };
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

for (const status of ["running", "paused"] as const) {
  test(`start: of a container that is ${status} already, as its record does not say, succeeds and kills nothing`, async () => {
    const { failure, deleted, state } = await startRefused({ status, startedAt: "7" });
    assert.equal(failure, undefined);
    assert.equal(deleted, 0);
    assert.deepEqual(state, { state: "running", pid: 42, startedAt: 7n });
  });
}

test("start: refused by the shim of a container that does not run fails, and leaves nothing of it", async () => {
  const { failure, deleted, state } = await startRefused({ status: "running", startedAt: "0" });
  assert.match(String(failure), /cannot start: start: the container is not created/);
  assert.equal(deleted, 1);
  assert.equal(state.state, "exited");
});
