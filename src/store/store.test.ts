import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { jsonCodec, openStore } from "./index.ts";

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "berth-store-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test("store: records survive closing, bigints included", async () => {
  await using folder = await temporaryFolder();
  const record = { name: "a", createdAt: 1_700_000_000_123_456_789n };
  {
    const store = await openStore(join(folder.path, "store"));
    const pods = store.table<typeof record>("pods", jsonCodec());
    await store.write([pods.put("x", record), pods.put("y", record), pods.delete("y")], "disk");
    await store.close();
  }
  const store = await openStore(join(folder.path, "store"));
  const pods = store.table<typeof record>("pods", jsonCodec());
  const damaged: string[] = [];
  assert.deepEqual(await pods.entries((key) => damaged.push(key)), new Map([["x", record]]));
  assert.deepEqual(damaged, []);
  assert.deepEqual(await pods.get("x"), record);
  assert.equal(await pods.get("y"), undefined);
  await store.close();
});

test("store: a damaged record is named and left out", async () => {
  await using folder = await temporaryFolder();
  const store = await openStore(join(folder.path, "store"));
  const pods = store.table<{ ok: boolean }>("pods", jsonCodec());
  const neighbour = store.table<string>("podsets", jsonCodec());
  await store.write([{ kind: "put", key: "pods/bad", value: "{" }, pods.put("good", { ok: true })], "memory");
  await store.write([neighbour.put("n", "other table")], "memory");
  const damaged: string[] = [];
  const found = await pods.entries((key) => damaged.push(key));
  assert.deepEqual([...found.keys()], ["good"]);
  assert.deepEqual(damaged, ["bad"]);
  await store.close();
});

test("store: a path that is no folder is refused by name", async () => {
  await assert.rejects(
    openStore("/proc/self/status"),
    (error) => hasCode(error, "internal") && error.message.includes("/proc/self/status"),
  );
});

test("store: writes of one key land in the order of their calls", async () => {
  await using folder = await temporaryFolder();
  const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);
  {
    const store = await openStore(join(folder.path, "store"));
    const records = store.table<number>("records", jsonCodec());
    // In pairs, as the first of a tick has a thread to itself; a write that nobody awaits is kept by closing too.
    for (let round = 0; round < 20; round++) {
      await Promise.all(
        keys.map((key) => {
          void store.write([records.put(key, -1)], "memory");
          return store.write([records.put(key, round)], round % 10 === 0 ? "disk" : "memory");
        }),
      );
    }
    void store.write([records.put("last", 1)], "memory");
    void store.write([records.put("last", 2)], "memory");
    await store.close();
  }
  const store = await openStore(join(folder.path, "store"));
  const records = store.table<number>("records", jsonCodec());
  const found = await records.entries(() => undefined);
  assert.deepEqual(found, new Map([...keys.map((key) => [key, 19] as const), ["last", 2]]));
  await store.close();
});

test("store: what is written after its end is refused, and does not open it again", async () => {
  const folder = await mkdtemp(join(tmpdir(), "berth-store-"));
  try {
    const store = await openStore(join(folder, "store"));
    const table = store.table<string>("t", jsonCodec());
    await store.close();
    await assert.rejects(store.write([table.put("a", "b")], "memory"), { code: "unavailable" });
    const next = await openStore(join(folder, "store"));
    assert.equal(await next.table<string>("t", jsonCodec()).get("a"), undefined);
    await next.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
