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

const mebibyte = 1024 * 1024;

test("ending: what is left is killed with the first process, in the host's pid namespace too", async () => {
  const script = "setsid sleep 1000 & echo $!; (setsid sleep 1000 &); sleep 0.2; exit 6";
  const namespaces = (["mount", "ipc", "uts", "network", "cgroup"] as const).map((type) => ({ type }));
  const container = await host.create(["sh", "-c", script], { linux: { namespaces } });
  await container.shim.start(wait);
  await until(() => container.logLines().length === 1, "the pid of the straggler");
  const straggler = Number(container.logLines()[0]?.split(" ")[2]);
  assert.ok(isAlive(straggler));
  assert.equal((await container.exit).exitCode, 6);
  await until(() => !isAlive(straggler), "the straggler is killed");
  await container.shim.closed;
  assert.deepEqual(cgroupsLeft(container.id), []);
});

test("ending: a child that was killed for want of memory does not mark a container that exits by itself", async () => {
  const memory = { limit: 32 * mebibyte, swap: 32 * mebibyte };
  const { record } = await host.sh("tail /dev/zero; exit 3", {
    linux: { resources: { devices: [{ allow: true, access: "rwm" }], memory } },
  });
  assert.equal(record.exitCode, 3);
  assert.equal(record.oomKilled, false);
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
