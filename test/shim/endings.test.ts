import "./isolated.ts";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { cgroupsLeft, isAlive, until } from "./evidence.ts";
import { TestHost, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

test("ending: killed while paused", async () => {
  const container = await host.create(["sleep", "1000"]);
  await container.shim.start(wait);
  await container.shim.pause(wait);
  await container.shim.kill(9, "all", wait);
  assert.equal((await container.exit).exitCode, 137);
  await container.shim.closed;
  assert.deepEqual(cgroupsLeft(container.id), []);
});

test("ending: a hundred containers at the same time, none is lost and nothing stays", async () => {
  const containers = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const container = await host.create(["sh", "-c", `echo ${index}; exit ${index}`]);
      await container.shim.start(wait);
      return container;
    }),
  );
  const records = await Promise.all(containers.map((container) => container.exit));
  assert.deepEqual(
    records.map((record) => record.exitCode),
    Array.from({ length: 100 }, (_, index) => index),
  );
  await Promise.all(containers.map((container) => container.shim.closed));
  for (const [index, container] of containers.entries()) {
    assert.deepEqual(container.logLines(), [`stdout F ${index}`]);
    await until(() => !isAlive(container.created.shimPid), "the shim ends");
    assert.deepEqual(cgroupsLeft(container.id), []);
  }
});
