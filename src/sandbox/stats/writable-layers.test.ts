import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "../../core/container.ts";
import { newPodId } from "../../core/ids.ts";
import { silentLogger } from "../../core/logger.ts";
import { containerRecord } from "../records.fixture.ts";
import { WritableLayers } from "./writable-layers.ts";

const root = mkdtempSync(join(tmpdir(), "berth-layers-"));
after(() => {
  rmSync(root, { recursive: true });
});

const podId = newPodId();

function layer(change: Partial<Container> = {}): Container {
  const container = containerRecord(podId, { createdAt: 7n, ...change });
  mkdirSync(join(root, container.id));
  return container;
}

/** Layers of containers that the test may change; the warnings are kept. */
function watch(containers: Container[]): { readonly layers: WritableLayers; readonly warnings: string[] } {
  const warnings: string[] = [];
  const layers = new WritableLayers({
    containers: () => containers,
    layerOf: (id) => ({ folder: join(root, id) }),
    clock: () => BigInt(Date.now()) * 1_000_000n,
    logger: { ...silentLogger, warn: (_, fields) => warnings.push(String(fields?.["error"])) },
  });
  return { layers, warnings };
}

async function until(what: string, probe: () => boolean): Promise<void> {
  for (let left = 500; !probe(); left--) {
    assert.ok(left > 0, `waited for ${what}`);
    await sleep(10);
  }
}

test("writable layers: nothing before the first walk, then what is there, then what was added after a touch", async () => {
  const container = layer();
  writeFileSync(join(root, container.id, "one"), Buffer.alloc(10_000, 1));
  const { layers } = watch([container]);
  await using _ = layers;
  assert.deepEqual(layers.usage(container), { usedBytes: 0n, inodes: 0n, at: 7n });
  await until("the first walk", () => layers.usage(container).inodes === 2n);
  const first = layers.usage(container);
  assert.ok(first.usedBytes >= 10_000n && first.at > 7n);
  writeFileSync(join(root, container.id, "two"), "");
  layers.touch(container.id);
  await until("the second walk", () => layers.usage(container).inodes === 3n);
  assert.ok(layers.usage(container).at > first.at);
});

test("writable layers: the total is as old as its oldest part that can still grow", async () => {
  const running = layer();
  const ended = layer({
    state: {
      state: "exited",
      startedAt: 1n,
      finishedAt: 2n,
      exitCode: 0,
      reason: "Completed",
      message: "",
    },
  });
  const { layers } = watch([running, ended]);
  await using _ = layers;
  assert.equal(layers.total().at, 7n);
  await until("both", () => layers.total().inodes === 2n);
  assert.equal(layers.total().at, layers.usage(running).at);
  layers.forget(running.id);
  assert.deepEqual(layers.usage(running), { usedBytes: 0n, inodes: 0n, at: 7n });
});

test("writable layers: one that is gone is no trouble, one that cannot be read is told once a walk", async () => {
  const gone = containerRecord(podId);
  const file = containerRecord(podId);
  writeFileSync(join(root, file.id), "");
  const containers = [gone, file];
  const { layers, warnings } = watch(containers);
  await using _ = layers;
  await until("the warning", () => warnings.length > 0);
  await sleep(50);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", new RegExp(`ENOTDIR.*${file.id}`));
});

test("writable layers: a walk under way ends with its container, and with the daemon", async () => {
  const containers = [layer(), layer()];
  for (const { id } of containers) {
    for (let i = 0; i < 2000; i++) writeFileSync(join(root, id, String(i)), "");
  }
  const { layers } = watch(containers);
  const [first, second] = containers;
  assert.ok(first !== undefined && second !== undefined);
  await sleep(5);
  containers.shift();
  layers.forget(first.id);
  await until("the other", () => layers.usage(second).inodes === 2001n);
  assert.equal(layers.usage(first).inodes, 0n);
  layers.touch(second.id);
  const before = performance.now();
  await layers[Symbol.asyncDispose]();
  assert.ok(performance.now() - before < 500);
});
