import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon } from "../harness/daemon.ts";
import {
  eventually,
  execSync,
  makeTestImage,
  podConfig,
  runPod,
  scriptConfig,
  startContainer,
  untilExited,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { TestCgroup } from "./cgroup.ts";

const mebibyte = 1024 * 1024;

/** A little work for a shell. */
const work = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";

let world: World;
let daemon: TestDaemon;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
});

after(async () => {
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

function within(value: string | undefined, least: bigint, most: bigint, what: string): void {
  const number = BigInt(value ?? -1);
  assert.ok(number >= least && number <= most, `${what}: ${number} is not within ${least} and ${most}`);
}

async function containerStats(id: string) {
  const { stats } = await daemon.runtime.ContainerStats({ container_id: id });
  assert.ok(stats !== null);
  return stats;
}

test("stats: a container's numbers are those of its cgroup, read after the call began", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const labels = { app: "busy" };
  const id = await startContainer(
    daemon,
    podId,
    config,
    scriptConfig("while :; do :; done", {
      labels,
      linux: {
        resources: { memory_limit_in_bytes: 64 * mebibyte },
        security_context: { namespace_options: { pid: "CONTAINER" } },
      },
    }),
  );
  const cgroup = new TestCgroup(daemon, podId, id);
  await containerStats(id);
  await sleep(1200);
  const [cpuBefore, pressureBefore] = [await cgroup.cpu(), await cgroup.pressure("cpu")];
  const start = now();
  const stats = await containerStats(id);
  const end = now() + 1_000_000n;
  const [cpuAfter, pressureAfter] = [await cgroup.cpu(), await cgroup.pressure("cpu")];

  assert.deepEqual(stats.attributes?.labels, labels);
  assert.deepEqual(stats.attributes.metadata, { name: "main", attempt: 0 });
  for (const part of [stats.cpu, stats.memory, stats.io ?? stats.cpu])
    within(part?.timestamp, start, end, "time");
  within(stats.cpu?.usage_core_nano_seconds?.value, cpuBefore, cpuAfter, "cpu");
  within(stats.cpu?.usage_nano_cores?.value, 10_000_000n, 1_100_000_000n, "rate of one busy loop");
  const slack = BigInt(mebibyte);
  const [memory, used] = [await cgroup.memory(), await cgroup.workingSet()];
  within(stats.memory?.usage_bytes?.value, memory - slack, memory + slack, "memory");
  within(stats.memory?.working_set_bytes?.value, used - slack, used + slack, "working set");
  const limit = BigInt(64 * mebibyte);
  const workingSet = BigInt(stats.memory?.working_set_bytes?.value ?? 0);
  assert.equal(stats.memory?.available_bytes?.value, String(limit - workingSet));
  assert.ok(BigInt(stats.memory.page_faults?.value ?? 0) > 0n);
  if (pressureBefore !== undefined && pressureAfter !== undefined) {
    // The contract counts nanoseconds, the kernel microseconds.
    within(stats.cpu?.psi?.Some?.Total, pressureBefore * 1000n, pressureAfter * 1000n, "pressure");
    assert.ok(stats.memory.psi?.Full !== undefined && stats.io?.psi?.Some !== undefined);
  }
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("stats: what a container writes is seen within seconds, and by the file systems' call", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const script =
    "dd if=/dev/zero of=/big bs=1M count=3; for i in 1 2 3 4 5; do : >/f$i; done; exec sleep 1000";
  const id = await startContainer(daemon, podId, config, scriptConfig(script));
  const layer = await eventually(async () => {
    const { writable_layer } = await containerStats(id);
    return Number(writable_layer?.used_bytes?.value) >= 3 * mebibyte ? writable_layer : undefined;
  }, "the writable layer's walk");
  assert.ok(Number(layer?.used_bytes?.value) < 4 * mebibyte);
  assert.ok(Number(layer?.inodes_used?.value) >= 7);
  const age = now() - BigInt(layer?.timestamp ?? 0);
  assert.ok(age >= 0n && age < 60_000_000_000n, String(age));
  const info = await daemon.images.ImageFsInfo({});
  const [filesystem] = info.container_filesystems;
  assert.ok(BigInt(filesystem?.used_bytes?.value ?? 0) >= BigInt(layer?.used_bytes?.value ?? 0));
  assert.equal(filesystem?.fs_id?.mountpoint, layer?.fs_id?.mountpoint);
  assert.notEqual(info.image_filesystems[0]?.used_bytes?.value, filesystem?.used_bytes?.value);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
  const empty = await daemon.images.ImageFsInfo({});
  assert.equal(empty.container_filesystems[0]?.inodes_used?.value, "0");
});

test("stats: lists are filtered; who has ended keeps its layer and has nothing else", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const one = (name: string, script: string) =>
    startContainer(
      daemon,
      podId,
      config,
      scriptConfig(script, { metadata: { name, attempt: 0 }, labels: { name }, log_path: `${name}.log` }),
    );
  const running = await one("running", "exec sleep 1000");
  const ended = await one("ended", "echo x >/file");
  await untilExited(daemon, ended);
  const ids = async (filter: object): Promise<(string | undefined)[]> => {
    const { stats } = await daemon.runtime.ListContainerStats({ filter });
    return stats.map((item) => item.attributes?.id).toSorted();
  };
  assert.deepEqual(await ids({}), [running, ended].toSorted());
  assert.deepEqual(await ids({ id: running }), [running]);
  assert.deepEqual(await ids({ id: running.slice(0, 20) }), [running]);
  assert.deepEqual(await ids({ pod_sandbox_id: podId, label_selector: { name: "ended" } }), [ended]);
  assert.deepEqual(await ids({ label_selector: { name: "none" } }), []);
  assert.deepEqual(await ids({ pod_sandbox_id: "f".repeat(64) }), []);
  const stats = await containerStats(ended);
  assert.deepEqual([stats.cpu, stats.memory, stats.swap, stats.io], [null, null, null, null]);
  assert.ok(stats.writable_layer !== null);
  await assert.rejects(daemon.runtime.ContainerStats({ container_id: "f".repeat(64) }), { code: 5 });
  await assert.rejects(daemon.runtime.PodSandboxStats({ pod_sandbox_id: "f".repeat(64) }), { code: 5 });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("stats: a pod is measured on its own cgroup and network, with its containers", async () => {
  const config = podConfig(daemon, { labels: { tier: "pod" } });
  const podId = await runPod(daemon, config);
  const id = await startContainer(daemon, podId, config, scriptConfig("sleep 1000 & sleep 1000 & wait"));
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: podId });
  // A question for who has the address, and its answer: the guest of test/vm has no ping.
  await world.run("bash", ["-c", `exec 3<>/dev/tcp/${status?.network?.ip ?? ""}/1`]);
  const cgroup = new TestCgroup(daemon, podId);
  const cpuBefore = await cgroup.cpu();
  const start = now();
  const { stats } = await daemon.runtime.PodSandboxStats({ pod_sandbox_id: podId });
  const cpuAfter = await cgroup.cpu();
  const { linux } = stats ?? {};
  assert.deepEqual(stats?.attributes?.labels, { tier: "pod" });
  within(linux?.cpu?.usage_core_nano_seconds?.value, cpuBefore, cpuAfter, "cpu");
  within(linux?.network?.timestamp, start, now() + 1_000_000n, "time");
  assert.deepEqual(
    linux?.containers.map((item) => item.attributes?.id),
    [id],
  );
  assert.equal(linux.process?.process_count?.value, "3");

  const netDev = await world.must("nsenter", `--net=/run/netns/berth-${podId}`, "cat", "/proc/self/net/dev");
  const [rxBytes, , rxErrors] = (/eth0:(.*)/.exec(netDev)?.[1] ?? "").trim().split(/\s+/);
  assert.ok(Number(rxBytes) > 0);
  assert.equal(linux.network?.default_interface?.name, "eth0");
  // Neighbour discovery may have gone on meanwhile.
  within(linux.network.default_interface.rx_bytes?.value, 1n, BigInt(rxBytes ?? 0), "received");
  assert.equal(linux.network.default_interface.rx_errors?.value, rxErrors);
  assert.deepEqual(linux.network.interfaces, []);

  const listed = await daemon.runtime.ListPodSandboxStats({ filter: { label_selector: { tier: "pod" } } });
  assert.deepEqual(
    listed.stats.map((item) => item.attributes?.id),
    [podId],
  );
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: podId });
  assert.deepEqual((await daemon.runtime.ListPodSandboxStats({})).stats, []);
  const stopped = await daemon.runtime.PodSandboxStats({ pod_sandbox_id: podId });
  assert.deepEqual([stopped.stats?.linux?.cpu, stopped.stats?.linux?.network], [null, null]);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("stats: a pod in the host's network has no traffic of its own", async () => {
  const config = podConfig(daemon, {
    linux: { security_context: { namespace_options: { network: "NODE", pid: "CONTAINER" } } },
  });
  const podId = await runPod(daemon, config);
  const { stats } = await daemon.runtime.PodSandboxStats({ pod_sandbox_id: podId });
  assert.equal(stats?.linux?.network, null);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("stats: no handle of a cgroup stays open longer than its container or pod", async () => {
  const held = async (): Promise<number> => {
    const pid = await daemon.pid();
    const list = await world.must("sh", "-c", `ls -l /proc/${pid}/fd`);
    return list.split("\n").filter((line) => line.includes("/sys/fs/cgroup/")).length;
  };
  assert.equal(await held(), 0);
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const id = await startContainer(daemon, podId, config, scriptConfig("exec sleep 1000"));
  await daemon.runtime.ListPodSandboxMetrics({});
  const both = await held();
  assert.ok(both > 10, String(both));
  await daemon.runtime.ListPodSandboxMetrics({});
  assert.equal(await held(), both);
  await daemon.runtime.StopContainer({ container_id: id, timeout: 0 });
  await untilExited(daemon, id);
  await daemon.runtime.ListPodSandboxMetrics({});
  assert.ok((await held()) < both);
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: podId });
  assert.equal(await held(), 0);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("stats: a daemon that takes over measures what its predecessor started", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const id = await startContainer(
    daemon,
    podId,
    config,
    scriptConfig(`echo x >/file; ${work}; exec sleep 1000`),
  );
  const made = await execSync(daemon, id, "sh", "-c", "until [ -s /file ]; do sleep 0.01; done; cat /file");
  assert.equal(made.stdout, "x\n");
  // Time is counted in ticks of a hundredth of a second on some kernels.
  await eventually(async () => {
    const { cpu } = await containerStats(id);
    return BigInt(cpu?.usage_core_nano_seconds?.value ?? 0) > 10_000_000n ? true : undefined;
  }, "some CPU time");
  await daemon.end("SIGKILL");
  await daemon.restart();
  const { cpu, memory } = await containerStats(id);
  assert.ok(BigInt(cpu?.usage_core_nano_seconds?.value ?? 0) > 0n);
  assert.ok(BigInt(memory?.usage_bytes?.value ?? 0) > 0n);
  await eventually(async () => {
    const { writable_layer } = await containerStats(id);
    return Number(writable_layer?.inodes_used?.value) >= 2 ? true : undefined;
  }, "the writable layer's walk");
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});
