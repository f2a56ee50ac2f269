import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { newPodId, type ContainerId, type PodId } from "../core/ids.ts";
import { openStore, type Store } from "../store/index.ts";
import { Inventory } from "./inventory.ts";
import { containerRecord, podRecord } from "./records.fixture.ts";

async function withStore(use: (store: Store, reopen: () => Promise<Store>) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "berth-inventory-"));
  let store = await openStore(join(folder, "store"));
  try {
    await use(store, async () => {
      await store.close();
      store = await openStore(join(folder, "store"));
      return store;
    });
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

test("inventory: what was added is there for the next daemon, what was removed is not", () =>
  withStore(async (store, reopen) => {
    const first = new Inventory(store);
    const pod = await first.addPod(podRecord());
    const kept = await first.addContainer(pod, containerRecord(pod.id));
    const other = containerRecord(pod.id);
    const gone = await first.addContainer(pod, {
      ...other,
      config: { ...other.config, metadata: { name: "b", attempt: 0 } },
    });
    await first.removeContainer(gone);
    const second = new Inventory(await reopen());
    await second.load(assert.fail);
    assert.deepEqual(second.pod(pod.id).record, pod.record);
    assert.deepEqual(
      [...second.containers()].map((entry) => entry.record),
      [kept.record],
    );
    assert.equal(second.pod(pod.id).containers.size, 1);
  }));

test("inventory: the next daemon has the order of the one before", () =>
  withStore(async (store, reopen) => {
    const first = new Inventory(store);
    for (const age of [5n, 4n, 3n, 2n, 1n, 0n]) {
      const name = `pod-${age}`;
      const record = podRecord();
      const config = { ...record.config, metadata: { ...record.config.metadata, name } };
      await first.addPod({ ...record, id: newPodId(), config, createdAt: 100n - age });
    }
    const second = new Inventory(await reopen());
    await second.load(assert.fail);
    assert.deepEqual(
      [...second.pods()].map(({ id }) => id),
      [...first.pods()].map(({ id }) => id),
    );
  }));

test("inventory: a name is held while its owner is there, and free afterwards", () =>
  withStore(async (store) => {
    const inventory = new Inventory(store);
    const pod = await inventory.addPod(podRecord());
    await assert.rejects(
      inventory.addPod(podRecord()),
      (error) => hasCode(error, "already-exists") && error.message.includes(pod.id),
    );
    await inventory.removePod(pod);
    await inventory.addPod(podRecord());
  }));

test("inventory: ids are found by unique prefix", () =>
  withStore(async (store) => {
    const inventory = new Inventory(store);
    const pod = await inventory.addPod(podRecord({ id: "a".repeat(64) as PodId }));
    const one = await inventory.addContainer(
      pod,
      containerRecord(pod.id, { id: `abc1${"0".repeat(60)}` as ContainerId }),
    );
    const record = containerRecord(pod.id, { id: `abc2${"0".repeat(60)}` as ContainerId });
    await inventory.addContainer(pod, {
      ...record,
      config: { ...record.config, metadata: { name: "b", attempt: 0 } },
    });
    assert.equal(inventory.findContainer("abc1"), one);
    assert.equal(inventory.findContainer("zzz"), undefined);
    assert.throws(() => inventory.findContainer("abc"), /container id abc is ambiguous: 2 match/);
    assert.throws(
      () => inventory.container("nope"),
      (error) => hasCode(error, "not-found"),
    );
    assert.throws(() => inventory.findContainer(""), /container id: empty/);
  }));

test("inventory: a container whose pod is missing is left out and told", () =>
  withStore(async (store, reopen) => {
    const first = new Inventory(store);
    const pod = await first.addPod(podRecord());
    await first.addContainer(pod, containerRecord(pod.id));
    await first.removePod(pod);
    const second = new Inventory(await reopen());
    const told: string[] = [];
    await second.load((what, reason) => told.push(`${what}: ${reason}`));
    assert.equal([...second.containers()].length, 0);
    assert.match(told[0] ?? "", /^container [0-9a-f]{64}: its pod [0-9a-f]{64} is not in the store$/);
  }));

test("inventory: what the shim knows too is shown at once, written soon, and with the next change", () =>
  withStore(async (store, reopen) => {
    let writes = 0;
    const counting: Store = {
      ...store,
      write: (...args) => {
        writes++;
        return store.write(...args);
      },
    };
    const first = new Inventory(counting);
    const pod = await first.addPod(podRecord());
    const entry = await first.addContainer(pod, containerRecord(pod.id));
    writes = 0;
    const created = { state: { state: "created", pid: 7 } } as const;
    assert.equal(await first.showContainer(entry, () => created), true);
    assert.deepEqual(entry.record.state, created.state);
    assert.equal(writes, 0, "shown before it is written");
    await first.updateContainer(entry, () => ({ delivery: "delivered" }));
    assert.equal(writes, 1, "both in one");
    const running = { state: { state: "running", pid: 7, startedAt: 1n } } as const;
    await first.showContainer(entry, () => running);
    while (writes < 2) await new Promise((resolve) => setImmediate(resolve));
    await first.updateContainer(entry, () => undefined);
    const second = new Inventory(await reopen());
    await second.load(assert.fail);
    const { state, delivery } = second.container(entry.id).record;
    assert.deepEqual({ state, delivery }, { ...running, delivery: "delivered" });
    assert.equal(writes, 2);
  }));

test("inventory: what is removed while it waits to be written stays removed", () =>
  withStore(async (store, reopen) => {
    const first = new Inventory(store);
    const pod = await first.addPod(podRecord());
    const entry = await first.addContainer(pod, containerRecord(pod.id));
    await first.showContainer(entry, () => ({ state: { state: "created", pid: 7 } }));
    await first.removeContainer(entry);
    await new Promise((resolve) => setImmediate(resolve));
    const second = new Inventory(await reopen());
    await second.load(assert.fail);
    assert.equal(second.findContainer(entry.id), undefined);
  }));
