import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

const root = "/sys/fs/cgroup";
const unified = existsSync(`${root}/cgroup.controllers`);
const mebibyte = 1024 * 1024;

/** The folder of a cgroup in the hierarchy of a controller. */
function folderOf(controller: string, cgroup: string): string {
  return unified ? join(root, cgroup) : join(root, controller, cgroup);
}

/** The folders of a cgroup in the hierarchies that these tests read. */
function foldersOf(cgroup: string): readonly string[] {
  return [...new Set(["memory", "cpu", "pids"].map((controller) => folderOf(controller, cgroup)))];
}

/** A limit as the kernel has it: by its file of v1, or of v2. */
async function limit(cgroup: string, v1: string, v2: string): Promise<string> {
  const controller = v1.split(".")[0] ?? "";
  return (await world.must("cat", join(folderOf(controller, cgroup), unified ? v2 : v1))).trim();
}

/** A pod below a cgroup of the test's own, as the kubelet makes one; gives the parent's path. */
async function podBelow(name: string): Promise<{ readonly pod: TestPod; readonly parent: string }> {
  const parent = `${world.cgroupParent}/${name}`;
  await world.must("mkdir", "-p", ...foldersOf(parent));
  const linux = {
    cgroup_parent: parent,
    security_context: { namespace_options: { pid: "CONTAINER" } },
  } as const;
  return { pod: await TestPod.run(daemon, { linux }), parent };
}

test("resources: limits are the kernel's, changed ones too, and the status shows them", async () => {
  const { pod, parent } = await podBelow("limits");
  await using _removed = pod;
  const resources = {
    memory_limit_in_bytes: 64 * mebibyte,
    cpu_shares: 512,
    cpu_quota: 50_000,
    cpu_period: 100_000,
  };
  const id = await pod.create("exec sleep 1000", {
    linux: { resources, security_context: { namespace_options: { pid: "CONTAINER" } } },
  });
  const cgroup = `${parent}/${id}`;
  const kernel = async (): Promise<unknown> => ({
    memory: await limit(cgroup, "memory.limit_in_bytes", "memory.max"),
    cpu: unified
      ? await limit(cgroup, "", "cpu.max")
      : `${await limit(cgroup, "cpu.cfs_quota_us", "")} ${await limit(cgroup, "cpu.cfs_period_us", "")}`,
    shares: unified || (await limit(cgroup, "cpu.shares", "")),
  });
  const first = { memory: String(64 * mebibyte), cpu: "50000 100000", shares: unified || "512" };
  assert.deepEqual(await kernel(), first);
  // Both a created and a running container can be changed; what is left out stays.
  await daemon.runtime.UpdateContainerResources({ container_id: id, linux: { cpu_quota: 70_000 } });
  assert.deepEqual(await kernel(), { ...first, cpu: "70000 100000" });
  await daemon.runtime.StartContainer({ container_id: id });
  await daemon.runtime.UpdateContainerResources({
    container_id: id,
    linux: { memory_limit_in_bytes: 32 * mebibyte, cpu_shares: 256 },
  });
  assert.deepEqual(await kernel(), {
    memory: String(32 * mebibyte),
    cpu: "70000 100000",
    shares: unified || "256",
  });
  const { resources: shown } = await statusOf(daemon, id);
  assert.equal(shown?.linux?.memory_limit_in_bytes, String(32 * mebibyte));
  assert.equal(shown.linux.cpu_quota, "70000");
  assert.equal(shown.linux.cpu_period, "100000");
  assert.equal(shown.linux.cpu_shares, "256");
});

test("resources: a change that the kernel refuses changes nothing, not even the status", async () => {
  await using pod = await TestPod.run(daemon);
  const resources = { memory_limit_in_bytes: 64 * mebibyte };
  const id = await pod.start("exec sleep 1000", { linux: { resources } });
  const change = { cpuset_cpus: "4000" };
  await assert.rejects(
    daemon.runtime.UpdateContainerResources({ container_id: id, linux: change }),
    /cpuset/,
  );
  const { resources: shown } = await statusOf(daemon, id);
  assert.equal(shown?.linux?.cpuset_cpus, "");
  assert.equal(shown.linux.memory_limit_in_bytes, String(64 * mebibyte));
});

test("resources: an ended or unknown container cannot be changed", async () => {
  await using pod = await TestPod.run(daemon);
  const { id } = await pod.finish("true");
  const change = { cpu_shares: 100 };
  await assert.rejects(daemon.runtime.UpdateContainerResources({ container_id: id, linux: change }), {
    code: 9,
  });
  await assert.rejects(
    daemon.runtime.UpdateContainerResources({ container_id: "d".repeat(64), linux: change }),
    { code: 5 },
  );
});

test("resources: a container that takes too much memory is OOMKilled", async () => {
  await using pod = await TestPod.run(daemon);
  const { status } = await pod.finish("exec tail /dev/zero", {
    linux: { resources: { memory_limit_in_bytes: 16 * mebibyte, memory_swap_limit_in_bytes: 16 * mebibyte } },
  });
  assert.equal(status.reason, "OOMKilled");
  assert.equal(status.exit_code, 137);
});

test("resources: an exit by SIGKILL is no OOM", async () => {
  await using pod = await TestPod.run(daemon);
  const { status } = await pod.finish("sh -c 'kill -9 $$'; exec sh -c 'exit 137'", {
    linux: { resources: { memory_limit_in_bytes: 64 * mebibyte } },
  });
  assert.equal(status.exit_code, 137);
  assert.equal(status.reason, "Error");
});

test("resources: a container is held by its pod's cgroup, and leaves it as it was", async () => {
  const { pod, parent } = await podBelow("held");
  await world.must("sh", "-c", `echo 12 > ${folderOf("pids", parent)}/pids.max`);
  const inside = (): Promise<string> =>
    world.must("find", ...foldersOf(parent), "-mindepth", "1", "-type", "d");
  const { stdout } = await pod.finish("i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done; echo all");
  assert.equal(stdout, "");
  const id = await pod.start("exec sleep 1000");
  assert.ok((await inside()).includes(id));
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id });
  assert.equal(await inside(), "");
  await pod[Symbol.asyncDispose]();
  await world.must("rmdir", ...foldersOf(parent));
});

test("resources: oom_score_adj is the process's", async () => {
  await using pod = await TestPod.run(daemon);
  const adj = (oom_score_adj: number): Promise<string> =>
    pod.output("cat /proc/self/oom_score_adj", { linux: { resources: { oom_score_adj } } });
  assert.equal(await adj(500), "500\n");
  assert.equal(await adj(1000), "1000\n");
});

test("resources: what an ended container left running is killed, in the node's PID namespace too", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "NODE" });
  await pod.finish(
    "setsid sleep 7171 & setsid sh -c 'trap : TERM INT HUP; sleep 7171; sleep 7171' & sleep 0.2",
  );
  await eventually(async () => {
    const { stdout } = await world.run("ps", ["-eo", "args="]);
    return stdout.includes("7171") ? undefined : true;
  }, "what was left to be killed");
});

test("resources: limits of files and processes are explicit", async () => {
  await using pod = await TestPod.run(daemon);
  const own = await world.must("cat", `/proc/${await daemon.pid()}/limits`);
  // Without CAP_SYS_RESOURCE nothing can be raised above what the daemon has.
  const most = Math.min(524_288, Number(/^Max open files\s+\d+\s+(\d+)/m.exec(own)?.[1]));
  const script = "ulimit -Sn; ulimit -Hn";
  assert.equal(await pod.output(script), `1024\n${most}\n`);
  const id = await pod.start("exec sleep 1000");
  assert.equal((await execSync(daemon, id, "sh", "-c", script)).stdout, `1024\n${most}\n`);
});

for (const [what, resources, message] of [
  ["a negative memory limit", { memory_limit_in_bytes: -5 }, /memory_limit_in_bytes/],
  ["a cpuset that is no list", { cpuset_cpus: "a-b" }, /cpuset_cpus/],
  ["a unified key that is a path", { unified: { "../../memory.max": "1" } }, /unified/],
  ["an oom score beyond 1000", { oom_score_adj: 1001 }, /oom_score_adj/],
] as const) {
  test(`resources: ${what} is refused`, async () => {
    await using pod = await TestPod.run(daemon);
    await assert.rejects(pod.create("true", { linux: { resources } }), { code: 3, message });
  });
}

test("resources: CPUs that the node lacks are refused by name", async () => {
  await using pod = await TestPod.run(daemon);
  const resources = { cpuset_cpus: "4000" };
  await assert.rejects(pod.create("true", { linux: { resources } }), /cpuset/);
});
