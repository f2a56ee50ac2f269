import "./isolated.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { cgroupsLeft, isAlive, until, cgroupFile, isUnified, unifiedRoot } from "./evidence.ts";
import { TestHost, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

const mib = 1024 * 1024;
const devices = [{ allow: true, access: "rwm" }];

test("cgroup: the container is exactly where the spec says, in every hierarchy", async () => {
  const container = await host.create(["sleep", "100"]);
  const own = readFileSync(`/proc/${container.created.pid}/cgroup`, "utf8").trim().split("\n");
  for (const line of own) assert.match(line, new RegExp(`:/berth-test/${container.id}$`));
  const shim = readFileSync(`/proc/${container.created.shimPid}/cgroup`, "utf8");
  assert.match(shim, /^0::\/berth-shims\/shim-\d+$/m);
  assert.doesNotMatch(shim, /berth-test/, "CVE-2019-14891: the shim is not in the container's cgroups");
  await container.shim.delete(wait);
});

test("cgroup: the container sees itself at the root of a namespace of its own", async () => {
  const file = `${unifiedRoot}/cgroup.procs`;
  const { lines } = await host.sh(`cat /proc/self/cgroup | cut -d: -f3 | sort -u; ls ${file}`);
  assert.deepEqual(lines, ["stdout F /", `stdout F ${file}`]);
});

test("cgroup: without a cgroup namespace its folder is what is mounted, read-only (CVE-2023-25809)", async () => {
  const [file, fresh] = isUnified
    ? ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/x"]
    : ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/x"];
  const { lines } = await host.sh(`ls ${file}; mkdir ${fresh} 2>&1`, {
    linux: { namespaces: (["pid", "mount", "ipc", "uts"] as const).map((type) => ({ type })) },
  });
  assert.equal(lines[0], `stdout F ${file}`);
  assert.match(lines[1] ?? "", /mkdir: can't create directory .*Read-only/);
});

test("limits: update changes what it names and keeps the rest; a bad field is refused", async () => {
  const container = await host.create(["sleep", "100"], {
    linux: { resources: { devices, pids: { limit: 50 }, cpu: { shares: 512 } } },
  });
  const read = (...file: readonly [v1: string, v1File: string, v2File: string]): string =>
    readFileSync(cgroupFile(container.id, ...file), "utf8").trim();
  await container.shim.update({ cpu: { quota: 50_000, period: 100_000 }, memory: { limit: 64 * mib } }, wait);
  assert.match(read("cpu", "cpu.cfs_quota_us", "cpu.max"), /^50000( 100000)?$/);
  assert.equal(read("cpu", "cpu.shares", "cpu.weight"), isUnified ? "59" : "512");
  assert.equal(read("pids", "pids.max", "pids.max"), "50");
  assert.equal(read("memory", "memory.limit_in_bytes", "memory.max"), `${64 * mib}`);
  await assert.rejects(container.shim.update({ cpu: { nonsense: 1 } } as never, wait), {
    code: "invalid-argument",
    message: /resources.cpu.nonsense: unknown field/,
  });
  await container.shim.delete(wait);
});

for (const [mode, namespaces] of [
  ["with the host's pid namespace", ["mount", "ipc", "uts", "cgroup"]],
  ["with its own", ["mount", "ipc", "uts", "cgroup", "pid"]],
] as const) {
  test(`stragglers: all that is left dies when init ends, ${mode}`, async () => {
    const container = await host.create(
      ["sh", "-c", "(setsid sh -c 'sleep 300 & sleep 300' &); sleep 0.2; exit 4"],
      {
        linux: { namespaces: namespaces.map((type) => ({ type })) },
      },
    );
    await container.shim.start(wait);
    const folder = `${unifiedRoot}/berth-test/${container.id}/cgroup.procs`;
    await until(() => readFileSync(folder, "utf8").split("\n").length > 3, "stragglers run");
    const pids = readFileSync(folder, "utf8").trim().split("\n").map(Number);
    assert.equal((await container.exit).exitCode, 4);
    await container.shim.closed;
    await until(() => pids.every((pid) => !isAlive(pid)), "all die");
    assert.deepEqual(cgroupsLeft(container.id), []);
  });
}

test("destroy: what a lost shim left is killed and removed, its cgroup with it", async () => {
  const container = await host.create(["sh", "-c", "sleep 300 & sleep 300"]);
  await container.shim.start(wait);
  process.kill(container.created.shimPid, "SIGKILL");
  await container.shim.closed;
  assert.ok(isAlive(container.created.pid), "init outlives its shim");
  await host.launcher.destroy(
    { id: container.id, cgroup: `/berth-test/${container.id}`, timeoutMs: 5000 },
    wait,
  );
  // Dead; init of this host has yet to take note.
  await until(() => !isAlive(container.created.pid), "init is gone");
  assert.deepEqual(cgroupsLeft(container.id), []);
  await host.launcher.destroy(
    { id: container.id, cgroup: `/berth-test/${container.id}`, timeoutMs: 5000 },
    wait,
  );
});
