import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { makeTestImage, podConfig, runPod, scriptConfig, startContainer } from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { partsOf, StreamClients } from "./streams.ts";

let world: World;
let daemon: TestDaemon;
let clients: StreamClients;

before(async () => {
  world = await World.create();
  daemon = await TestDaemon.start(world);
  clients = new StreamClients(daemon);
});

after(async () => {
  clients[Symbol.dispose]();
  await daemon[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

test("streams: an empty list is a stream of no parts", async () => {
  const { runtime, images } = clients;
  assert.deepEqual(await partsOf(runtime.StreamPodSandboxes({})), []);
  assert.deepEqual(await partsOf(runtime.StreamContainers({})), []);
  assert.deepEqual(await partsOf(runtime.StreamContainerStats({})), []);
  assert.deepEqual(await partsOf(runtime.StreamPodSandboxStats({})), []);
  assert.deepEqual(await partsOf(runtime.StreamPodSandboxMetrics({})), []);
  assert.deepEqual(await partsOf(images.StreamImages({})), []);
});

test("streams: each gives what its list gives, filtered alike", async () => {
  await makeTestImage(daemon);
  // A large annotation a pod makes one part too small for all.
  const annotations = { large: "x".repeat(200_000) };
  const pods: string[] = [];
  for (let index = 0; index < 12; index++) {
    const config = podConfig(daemon, { annotations, labels: { index: String(index) } });
    const podId = await runPod(daemon, config);
    pods.push(podId);
    if (index < 2) await startContainer(daemon, podId, config, scriptConfig("exec sleep 1000"));
  }
  const { runtime, images } = clients;
  const podParts = await partsOf(runtime.StreamPodSandboxes({}));
  assert.equal(podParts.length, 2);
  assert.deepEqual(
    podParts.flatMap((part) => part.pod_sandboxes),
    (await daemon.runtime.ListPodSandbox({})).items,
  );
  const filter = { label_selector: { index: "3" } };
  const filtered = await partsOf(runtime.StreamPodSandboxes({ filter }));
  assert.deepEqual(
    filtered.flatMap((part) => part.pod_sandboxes.map((pod) => pod.id)),
    [pods[3]],
  );
  assert.deepEqual(
    (await partsOf(runtime.StreamContainers({}))).flatMap((part) => part.containers),
    (await daemon.runtime.ListContainers({})).containers,
  );
  assert.deepEqual(
    (await partsOf(images.StreamImages({}))).flatMap((part) => part.images),
    (await daemon.images.ListImages({})).images,
  );
  const { containers } = await daemon.runtime.ListContainers({});
  const ids = containers.map((container) => container.id).toSorted();
  const measured = (await partsOf(runtime.StreamContainerStats({}))).flatMap((part) => part.container_stats);
  assert.deepEqual(measured.map((one) => one.attributes?.id).toSorted(), ids);
  assert.ok(measured.every((one) => one.cpu !== null));
  const podStats = (await partsOf(runtime.StreamPodSandboxStats({}))).flatMap(
    (part) => part.pod_sandbox_stats,
  );
  assert.deepEqual(podStats.map((one) => one.attributes?.id).toSorted(), pods.toSorted());
  const metrics = (await partsOf(runtime.StreamPodSandboxMetrics({}))).flatMap(
    (part) => part.pod_sandbox_metrics,
  );
  assert.deepEqual(metrics.map((one) => one.pod_sandbox_id).toSorted(), pods.toSorted());

  const call = runtime.StreamPodSandboxes({});
  await once(call, "data");
  call.on("error", () => undefined);
  call.cancel();
  await once(call, "error");
  await daemon.runtime.Version({});
  await assert.rejects(partsOf(images.StreamImages({ filter: { image: { image: "Not A Name" } } })), {
    code: 3,
  });
  for (const podId of pods) await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("pod resources: a change is recorded beside what stays, an unknown pod is an error", async () => {
  const config = podConfig(daemon, {
    linux: {
      resources: { cpu_shares: 100, memory_limit_in_bytes: 1 << 26 },
      security_context: { namespace_options: { pid: "CONTAINER" } },
    },
  });
  const podId = await runPod(daemon, config);
  await daemon.runtime.UpdatePodSandboxResources({
    pod_sandbox_id: podId,
    resources: { cpu_shares: 200 },
    overhead: { memory_limit_in_bytes: 4096 },
  });
  await daemon.end("SIGKILL");
  await daemon.restart();
  const { info } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: podId, verbose: true });
  const text = info["info"] ?? "";
  assert.match(text, /"cpuShares":\s*"?200"?/);
  assert.match(text, /"memoryLimitBytes":\s*"?67108864"?/);
  assert.match(text, /"memoryLimitBytes":\s*"?4096"?/);
  const unknown = { pod_sandbox_id: "f".repeat(64), resources: { cpu_shares: 2 } };
  await assert.rejects(daemon.runtime.UpdatePodSandboxResources(unknown), { code: 5 });
  const wrong = { pod_sandbox_id: podId, resources: { oom_score_adj: 5000 } };
  await assert.rejects(daemon.runtime.UpdatePodSandboxResources(wrong), {
    code: 3,
    message: /oom_score_adj/,
  });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});
