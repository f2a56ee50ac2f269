import "./isolated.ts";
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { cgroupsLeft, isAlive, until } from "./evidence.ts";
import { TestHost, type TestContainer, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const mebibyte = 1024 * 1024;
const allDevices = [{ allow: true, access: "rwm" }] as const;

test("limits: a fork over pids.limit fails, the container lives", async () => {
  const { lines, record } = await host.sh(
    "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done 2>&1; echo done; true",
    {
      linux: { resources: { devices: allDevices, pids: { limit: 5 } } },
    },
  );
  assert.match(lines.join("\n"), /can't fork|Resource temporarily unavailable/);
  assert.ok(record.exitCode === 0 || record.exitCode === 2);
});

test("limits: a kill for want of memory is in the record, another SIGKILL is not", async () => {
  const hungry = await host.run(["tail", "/dev/zero"], {
    linux: { resources: { devices: allDevices, memory: { limit: 32 * mebibyte, swap: 32 * mebibyte } } },
  });
  assert.equal(hungry.record.exitCode, 137);
  assert.equal(hungry.record.signal, 9);
  assert.equal(hungry.record.oomKilled, true);
  const container = await host.create(["sleep", "100"], {
    linux: { resources: { devices: allDevices, memory: { limit: 32 * mebibyte } } },
  });
  await container.shim.start(wait);
  await container.shim.kill(9, "init", wait);
  assert.equal((await container.exit).oomKilled, false);
});

test("limits: a child that was killed for want of memory does not mark a container that exits by itself", async () => {
  const { record } = await host.sh("tail /dev/zero; exit 3", {
    linux: { resources: { devices: allDevices, memory: { limit: 32 * mebibyte, swap: 32 * mebibyte } } },
  });
  assert.equal(record.exitCode, 3);
  assert.equal(record.oomKilled, false);
});

test("limits: a shell that passes on the kill of its child is as good as killed", async () => {
  const { record } = await host.sh("tail /dev/zero; exit $?", {
    linux: { resources: { devices: allDevices, memory: { limit: 32 * mebibyte, swap: 32 * mebibyte } } },
  });
  assert.deepEqual([record.exitCode, record.signal, record.oomKilled], [137, 0, true]);
});

for (const [how, end] of [
  ["killed", (container: TestContainer) => container.shim.kill(9, "init", wait)],
  ["killed with all that is in it", (container: TestContainer) => container.shim.kill(9, "all", wait)],
  ["deleted", (container: TestContainer) => container.shim.delete(wait)],
] as const) {
  test(`limits: a container that lived on after a kill for want of memory, and is ${how} later`, async () => {
    const container = await host.create(["sh", "-c", "tail /dev/zero; echo alive; sleep 1000"], {
      linux: { resources: { devices: allDevices, memory: { limit: 32 * mebibyte, swap: 32 * mebibyte } } },
    });
    await container.shim.start(wait);
    await until(() => container.logLines().includes("stdout F alive"), "it lives on");
    await end(container);
    const record = await container.exit;
    assert.deepEqual([record.exitCode, record.signal, record.oomKilled], [137, 9, false]);
  });
}

test("limits: a kill of a container that the kernel has killed just before changes nothing", async () => {
  const container = await host.create(["tail", "/dev/zero"], {
    linux: { resources: { devices: allDevices, memory: { limit: 32 * mebibyte, swap: 32 * mebibyte } } },
  });
  await container.shim.start(wait);
  await until(() => !isAlive(container.created.pid), "the kernel kills it");
  await container.shim.kill(9, "init", wait).catch(() => undefined);
  assert.equal((await container.exit).oomKilled, true);
});

test("limits: an update holds at once and keeps what it does not name", async () => {
  const container = await host.create(["sleep", "100"], {
    linux: { resources: { devices: allDevices, pids: { limit: 50 }, memory: { limit: 64 * mebibyte } } },
  });
  await container.shim.start(wait);
  await container.shim.update({ memory: { limit: 96 * mebibyte } }, wait);
  const read =
    "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null;" +
    "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null";
  assert.equal(await host.exec(container, read), `${96 * mebibyte}\n50\n`);
  await assert.rejects(container.shim.update({ pids: { limit: 5_000_000 } }, wait), {
    message: /linux\.resources\.pids\.limit = 5000000: /,
  });
  await assert.rejects(container.shim.update({ memory: { limit: 1.5 } }, wait), { code: "invalid-argument" });
  assert.equal(await host.exec(container, read), `${96 * mebibyte}\n50\n`);
  await container.shim.kill(9, "init", wait);
  await container.exit;
});

test("limits: only the devices of the list can be opened", async () => {
  const { lines } = await host.sh(
    "head -c 1 /dev/zero | wc -c; head -c 1 /dev/full 2>&1 | wc -c; mknod /tmp/x c 1 1 2>&1",
    {
      linux: {
        resources: {
          devices: [
            { allow: false, access: "rwm" },
            { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
            { allow: true, type: "c", major: 1, minor: 5, access: "rwm" },
          ],
        },
      },
      process: {
        capabilities: { bounding: ["CAP_MKNOD"], effective: ["CAP_MKNOD"], permitted: ["CAP_MKNOD"] },
      },
    },
  );
  assert.match(lines[0] ?? "", / 1$/);
  assert.doesNotMatch(lines[1] ?? "", / 1$/);
  assert.match(lines[2] ?? "", /Operation not permitted/);
});

test("kill: what is left is killed with the first process, in the host's pid namespace too", async () => {
  const container = await host.create(
    ["sh", "-c", "setsid sleep 1000 & (setsid sleep 1000 &) ; echo $!; sleep 0.2; exit 6"],
    {
      linux: {
        namespaces: [
          { type: "mount" },
          { type: "ipc" },
          { type: "uts" },
          { type: "network" },
          { type: "cgroup" },
        ],
      },
    },
  );
  await container.shim.start(wait);
  await until(() => container.logLines().length === 1, "the pid of the straggler");
  const straggler = Number(container.logLines()[0]?.split(" ")[2]);
  assert.ok(isAlive(straggler));
  assert.equal((await container.exit).exitCode, 6);
  await until(() => !isAlive(straggler), "the straggler is killed");
  await container.shim.closed;
  assert.deepEqual(cgroupsLeft(container.id), []);
});

test("kill: all reaches every process, init only the first", async () => {
  const container = await host.create([
    "sh",
    "-c",
    "trap 'echo term' TERM; sleep 1000 & echo ready; while true; do wait; done",
  ]);
  await container.shim.start(wait);
  await until(() => container.logLines().length === 1, "the handler is set");
  await container.shim.kill(15, "init", wait);
  await until(() => container.logLines().includes("stdout F term"), "init's handler ran");
  assert.match(await host.exec(container, "ps"), /sleep 1000/);
  await container.shim.kill(9, "all", wait);
  assert.equal((await container.exit).exitCode, 137);
});

test("limits: one that this host can't set is an error that names it", async () => {
  if (existsSync("/sys/fs/cgroup/net_cls")) return;
  await host.createFails(
    ["true"],
    { linux: { resources: { devices: allDevices, network: { classID: 1 } } } },
    { message: /linux\.resources\.network\.classID: this host has no cgroup controller net_cls/ },
  );
});
