import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Metric__Output } from "../../src/cri/types/runtime/v1/Metric.ts";
import { TestDaemon } from "../harness/daemon.ts";
import {
  eventually,
  makeTestImage,
  podConfig,
  runPod,
  scriptConfig,
  startContainer,
  statusOf,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { isV2, TestCgroup } from "./cgroup.ts";

const mebibyte = 1024 * 1024;

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

/** Values by name and by the labels that are the metric's own. */
function valuesOf(metrics: readonly Metric__Output[]): ReadonlyMap<string, bigint> {
  return new Map(
    metrics.map((metric) => [
      [metric.name, ...metric.label_values.slice(6)].join(" "),
      BigInt(metric.value?.value ?? -1),
    ]),
  );
}

async function metricsOf(podId: string, containerId: string) {
  const { pod_metrics } = await daemon.runtime.ListPodSandboxMetrics({});
  const pod = pod_metrics.find((one) => one.pod_sandbox_id === podId);
  const container = pod?.container_metrics.find((one) => one.container_id === containerId);
  assert.ok(pod !== undefined && container !== undefined);
  return { pod: pod.metrics, container: container.metrics };
}

function between(values: ReadonlyMap<string, bigint>, name: string, least: bigint, most: bigint): void {
  const value = values.get(name);
  assert.ok(
    value !== undefined && value >= least && value <= most,
    `${name}: ${String(value)} is not within ${least} and ${most}`,
  );
}

test("metrics: values are those of the cgroup's files and of the processes", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  // Two seconds of work, a child that memory runs out for, then three quiet processes.
  const script =
    "dd if=/dev/zero of=/big bs=1M count=2; (tail /dev/zero); i=0; " +
    "while [ $i -lt 200000 ]; do i=$((i+1)); done; touch /ready; sleep 1000 & sleep 1000 & wait";
  const id = await startContainer(
    daemon,
    podId,
    config,
    scriptConfig(script, {
      image: { image: "berth.test/busybox:latest", user_specified_image: "busybox:of-the-user" },
      linux: {
        resources: {
          memory_limit_in_bytes: 24 * mebibyte,
          cpu_shares: 512,
          cpu_quota: 80_000,
          cpu_period: 100_000,
        },
        security_context: { namespace_options: { pid: "CONTAINER" } },
      },
    }),
  );
  const cgroup = new TestCgroup(daemon, podId, id);
  await eventually(async () => {
    const { container } = await metricsOf(podId, id);
    return valuesOf(container).get("container_processes") === 3n ? true : undefined;
  }, "three quiet processes");
  const usedBytes = await eventually(async () => {
    const { stats } = await daemon.runtime.ContainerStats({ container_id: id });
    const used = BigInt(stats?.writable_layer?.used_bytes?.value ?? 0);
    return used >= BigInt(2 * mebibyte) ? used : undefined;
  }, "the writable layer's walk");

  const second = 1_000_000_000n;
  const cpuBefore = (await cgroup.cpu()) / second;
  const periodsBefore = await cgroup.key("cpu", "cpu.stat", "nr_periods");
  const { pod, container } = await metricsOf(podId, id);
  const values = valuesOf(container);
  between(values, "container_cpu_usage_seconds_total total", cpuBefore, (await cgroup.cpu()) / second);
  const slack = BigInt(mebibyte);
  between(
    values,
    "container_memory_usage_bytes",
    (await cgroup.memory()) - slack,
    (await cgroup.memory()) + slack,
  );
  const rss = await cgroup.key("memory", "memory.stat", isV2 ? "anon" : "total_rss");
  between(values, "container_memory_rss", rss - slack, rss + slack);
  assert.equal(values.get("container_spec_memory_limit_bytes"), BigInt(24 * mebibyte));
  assert.equal(values.get("container_spec_cpu_quota"), 80_000n);
  assert.equal(values.get("container_spec_cpu_period"), 100_000n);
  assert.equal(values.get("container_spec_cpu_shares"), 512n);
  between(
    values,
    "container_cpu_cfs_periods_total",
    periodsBefore,
    await cgroup.key("cpu", "cpu.stat", "nr_periods"),
  );
  const oomKills = await cgroup.key("memory", isV2 ? "memory.events" : "memory.oom_control", "oom_kill");
  assert.ok(oomKills >= 1n);
  assert.equal(values.get("container_oom_events_total"), oomKills);
  between(values, "container_memory_max_usage_bytes", BigInt(20 * mebibyte), BigInt(24 * mebibyte));
  const hits = isV2
    ? await cgroup.key("memory", "memory.events", "max")
    : BigInt(await cgroup.read("memory", "memory.failcnt"));
  assert.equal(values.get("container_memory_failcnt"), hits);
  const stalled = await cgroup.pressure("cpu");
  if (stalled !== undefined)
    between(values, "container_pressure_cpu_waiting_seconds_total", 0n, stalled / 1_000_000n);
  assert.equal(values.get("container_threads"), BigInt(await cgroup.read("pids", "pids.current")));
  assert.equal(values.get("container_threads"), 3n);
  assert.equal(values.get("container_file_descriptors"), await cgroup.descriptors());
  assert.ok((values.get("container_ulimits_soft max_open_files") ?? 0n) > 0n);
  const { started_at } = await statusOf(daemon, id);
  assert.equal(values.get("container_start_time_seconds"), BigInt(started_at) / second);
  between(values, "container_last_seen", BigInt(started_at) / second, BigInt(Date.now()) / 1000n + 1n);
  const written = container.find((metric) => metric.name === "container_fs_usage_bytes");
  assert.equal(written?.value?.value, String(usedBytes));
  assert.ok(BigInt(written.timestamp) > 0n);

  const { name = "", namespace = "" } = config.metadata ?? {};
  const labels = ["main", cgroup.path, "busybox:of-the-user", id, namespace, name];
  assert.ok(
    container.every((metric) => labels.every((label, index) => metric.label_values[index] === label)),
  );
  const ofPod = valuesOf(pod);
  assert.ok((ofPod.get("container_network_transmit_bytes_total eth0") ?? -1n) >= 0n);
  between(
    ofPod,
    "container_memory_usage_bytes",
    values.get("container_memory_usage_bytes") ?? -1n,
    1n << 40n,
  );
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("metrics: each sample has a descriptor with as many labels, and no series comes twice", async () => {
  const { descriptors } = await daemon.runtime.ListMetricDescriptors({});
  assert.equal(descriptors.length, 56);
  const keys = new Map(descriptors.map(({ name, label_keys }) => [name, label_keys]));
  const pods = await Promise.all(
    [0, 1].map(async () => {
      const config = podConfig(daemon);
      const podId = await runPod(daemon, config);
      await startContainer(daemon, podId, config, scriptConfig("exec sleep 1000"));
      return podId;
    }),
  );
  const { pod_metrics } = await daemon.runtime.ListPodSandboxMetrics({});
  assert.deepEqual(pod_metrics.map((pod) => pod.pod_sandbox_id).toSorted(), pods.toSorted());
  const series = new Set<string>();
  for (const pod of pod_metrics) {
    for (const metric of [...pod.metrics, ...pod.container_metrics.flatMap((one) => one.metrics)]) {
      assert.equal(metric.label_values.length, keys.get(metric.name)?.length, metric.name);
      const key = JSON.stringify([metric.name, metric.label_values]);
      assert.ok(!series.has(key), key);
      series.add(key);
    }
  }
  for (const podId of pods) await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});
