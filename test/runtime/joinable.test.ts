import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { status } from "@grpc/grpc-js";
import type { ContainerEventResponse__Output } from "../../src/cri/types/runtime/v1/ContainerEventResponse.ts";
import type { Job__Output } from "../../src/cri/types/berth/v1/Job.ts";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import { testConflist, TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { streamOf, TestPod } from "../harness/pod.ts";
import {
  eventually,
  makeTestImage,
  podConfig,
  runPod,
  scriptConfig,
  statusOf,
  untilExited,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { partsOf, StreamClients } from "../stats/streams.ts";

/** A daemon whose network plugin waits as long as the file `hold` is there. */
class SlowDaemon implements AsyncDisposable {
  readonly world: World;
  readonly daemon: TestDaemon;
  readonly #hold: string;

  private constructor(world: World, daemon: TestDaemon) {
    this.world = world;
    this.daemon = daemon;
    this.#hold = join(world.folder, "hold");
  }

  static async start(flags: readonly string[] = []): Promise<SlowDaemon> {
    await using undo = new AsyncDisposableStack();
    const world = undo.use(await World.create());
    const plugins = join(world.folder, "plugins");
    await mkdir(plugins);
    const passOn = `JSON.stringify(JSON.parse(require("node:fs").readFileSync(0)).prevResult)`;
    const script = [
      "#!/bin/sh",
      "[ $CNI_COMMAND = ADD ] || exit 0",
      `while [ -e ${join(world.folder, "hold")} ]; do sleep 0.02; done`,
      `exec ${process.execPath} -p '${passOn}'`,
    ];
    await writeFile(join(plugins, "slow"), script.join("\n"));
    await chmod(join(plugins, "slow"), 0o755);
    const list = JSON.parse(testConflist) as { plugins: object[] };
    list.plugins.push({ type: "slow" });
    const daemon = undo.use(
      await TestDaemon.start(world, {
        conflist: JSON.stringify(list),
        flags: ["--cni-bin-dirs", plugins, ...flags],
      }),
    );
    await makeTestImage(daemon);
    // The first pod makes the bridge, which stays.
    await (await TestPod.run(daemon))[Symbol.asyncDispose]();
    undo.move();
    return new SlowDaemon(world, daemon);
  }

  async hold(): Promise<void> {
    await writeFile(this.#hold, "");
  }

  async release(): Promise<void> {
    await rm(this.#hold, { force: true });
  }

  /** The latest job of a kind about a subject, once it is as asked. */
  async job(kind: string, subject: string, isMeant: (job: Job__Output) => boolean): Promise<Job__Output> {
    return eventually(async () => {
      const { jobs } = await this.daemon.admin.ListJobs({ kind, subject });
      return jobs[0] !== undefined && isMeant(jobs[0]) ? jobs[0] : undefined;
    }, `job ${kind} of ${subject}`);
  }

  /** Asks for a pod, and leaves when its network is being set up. */
  async beginPod(config: PodSandboxConfig): Promise<void> {
    await this.hold();
    const caller = new AbortController();
    const call = this.daemon.runtime.RunPodSandbox({ config }, caller);
    const left = assert.rejects(call, { code: status.CANCELLED });
    await this.job("RunPodSandbox", nameOf(config), ({ stages }) => stages.at(-1)?.name === "cni slow ADD");
    caller.abort();
    await left;
  }

  /** As {@link beginPod}, and waits until the pod is there, with nobody who knows it. */
  async abandonPod(config: PodSandboxConfig): Promise<string> {
    await this.beginPod(config);
    await this.release();
    const { result } = await this.job("RunPodSandbox", nameOf(config), ({ state }) => state === "done");
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
    await this.daemon[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

function nameOf({ metadata }: PodSandboxConfig): string {
  return `${metadata?.namespace ?? ""}/${metadata?.name ?? ""} (attempt ${metadata?.attempt ?? 0})`;
}

const bed = new AsyncDisposableStack();
let slow: SlowDaemon;
let daemon: TestDaemon;

before(async () => {
  slow = bed.use(await SlowDaemon.start());
  ({ daemon } = slow);
});

after(() => bed.disposeAsync());

async function podIds(): Promise<string[]> {
  const { items } = await daemon.runtime.ListPodSandbox({});
  return items.map(({ id }) => id);
}

/** Whatever a client can list. */
async function everyList(): Promise<readonly unknown[]> {
  using clients = new StreamClients(daemon);
  const { runtime } = daemon;
  return [
    ...(await podIds()),
    ...(await runtime.ListContainers({})).containers,
    ...(await runtime.ListPodSandboxStats({})).stats,
    ...(await runtime.ListContainerStats({})).stats,
    ...(await runtime.ListPodSandboxMetrics({})).pod_metrics,
    ...(await partsOf(clients.runtime.StreamPodSandboxes({}))),
    ...(await partsOf(clients.runtime.StreamContainers({}))),
    ...(await partsOf(clients.runtime.StreamPodSandboxStats({}))),
    ...(await partsOf(clients.runtime.StreamContainerStats({}))),
    ...(await partsOf(clients.runtime.StreamPodSandboxMetrics({}))),
  ];
}

test("joinable: a retry of RunPodSandbox joins the work, and only then is the name refused", async () => {
  const clean = await leftovers(slow.world);
  const config = podConfig(daemon);
  await slow.beginPod(config);
  const retries = [runPod(daemon, config), runPod(daemon, config)];
  await slow.release();
  const [id = "", other] = await Promise.all(retries);
  assert.equal(other, id);
  assert.deepEqual(await podIds(), [id]);
  const { jobs } = await daemon.admin.ListJobs({ kind: "RunPodSandbox", subject: nameOf(config) });
  assert.equal(jobs.filter(({ stages }) => stages.some(({ name }) => name === "network")).length, 1);
  await assert.rejects(runPod(daemon, config), { code: status.ALREADY_EXISTS });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
  assert.deepEqual(await leftovers(slow.world), clean);
});

test("joinable: a pod finished after its caller's deadline is hidden until a retry claims it", async () => {
  const clean = await leftovers(slow.world);
  using clients = new StreamClients(daemon);
  const events: ContainerEventResponse__Output[] = [];
  const subscription = clients.runtime.GetContainerEvents({});
  subscription.on("data", (event: ContainerEventResponse__Output) => events.push(event));
  subscription.on("error", () => undefined);
  using _subscribed = {
    [Symbol.dispose]: () => {
      subscription.cancel();
    },
  };
  await new Promise((resolve) => subscription.once("metadata", resolve));

  const config = podConfig(daemon);
  await slow.hold();
  const call = daemon.runtime.RunPodSandbox({ config }, { timeoutMs: 3000 });
  await assert.rejects(call, { code: status.DEADLINE_EXCEEDED });
  await slow.release();
  const { result } = await slow.job("RunPodSandbox", nameOf(config), ({ state }) => state === "done");
  assert.deepEqual(await everyList(), []);
  // Its id opens every door all the same.
  const known = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: result });
  assert.equal(known.status?.state, "SANDBOX_READY");
  assert.equal(
    (await daemon.runtime.PodSandboxStats({ pod_sandbox_id: result })).stats?.attributes?.id,
    result,
  );

  assert.equal(await runPod(daemon, config), result);
  assert.deepEqual(await podIds(), [result]);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: result });
  const told = await eventually(
    () => Promise.resolve(events.length >= 4 ? events : undefined),
    "the events of the pod",
  );
  assert.deepEqual(
    told.map(({ container_id, container_event_type }) => [container_id, container_event_type]),
    ["CREATED", "STARTED", "STOPPED", "DELETED"].map((kind) => [result, `CONTAINER_${kind}_EVENT`]),
  );
  assert.deepEqual(await leftovers(slow.world), clean);
});

test("joinable: after kill -9 an unclaimed pod is still hidden, whole, and the retry's", async () => {
  const config = podConfig(daemon);
  const id = await slow.abandonPod(config);
  await daemon.end("SIGKILL");
  await daemon.restart();
  assert.deepEqual(await everyList(), []);
  assert.equal(await runPod(daemon, config), id);
  assert.deepEqual(await podIds(), [id]);
  const { container_id } = await daemon.runtime.CreateContainer({
    pod_sandbox_id: id,
    sandbox_config: config,
    config: scriptConfig("exit 7"),
  });
  await daemon.runtime.StartContainer({ container_id });
  assert.equal((await untilExited(daemon, container_id)).exit_code, 7);
  // Delivered is delivered for the next daemon, too.
  await daemon.end("SIGKILL");
  await daemon.restart();
  assert.deepEqual(await podIds(), [id]);
  await assert.rejects(runPod(daemon, config), { code: status.ALREADY_EXISTS });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
});

test("joinable: kill -9 while a pod is made leaves nothing, and the retry makes it", async () => {
  const config = podConfig(daemon);
  const clean = await leftovers(slow.world);
  await slow.beginPod(config);
  await daemon.end("SIGKILL");
  await slow.release();
  await daemon.restart();
  assert.deepEqual(await everyList(), []);
  assert.deepEqual(await leftovers(slow.world), clean);
  const id = await runPod(daemon, config);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
});

test("joinable: a higher attempt undoes an unclaimed lower one", async () => {
  const clean = await leftovers(slow.world);
  const config = podConfig(daemon);
  const lower = await slow.abandonPod(config);
  const id = await runPod(daemon, {
    ...config,
    metadata: { ...config.metadata, attempt: (config.metadata?.attempt ?? 0) + 1 },
  });
  assert.deepEqual(await podIds(), [id]);
  await assert.rejects(daemon.runtime.PodSandboxStatus({ pod_sandbox_id: lower }), {
    code: status.NOT_FOUND,
  });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
  assert.deepEqual(await leftovers(slow.world), clean);
});

test("joinable: an unclaimed pod can be stopped and removed by its id", async () => {
  const clean = await leftovers(slow.world);
  const config = podConfig(daemon);
  const id = await slow.abandonPod(config);
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: id });
  assert.deepEqual(await everyList(), []);
  // A stopped pod is not what the retry asks for.
  const retried = await runPod(daemon, config);
  assert.notEqual(retried, id);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: retried });

  const other = podConfig(daemon);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: await slow.abandonPod(other) });
  assert.deepEqual(await leftovers(slow.world), clean);
});

/** Asks for a container while nobody makes shims, and leaves; its id when it was made in the end. */
async function abandonContainer(pod: TestPod, name: string, script: string): Promise<string> {
  const makers = (await slow.world.must("pgrep", "-x", "berth-launcher|berth-spare")).trim().split("\n");
  const caller = new AbortController();
  const config = scriptConfig(script, { metadata: { name, attempt: 0 } });
  const request = { pod_sandbox_id: pod.id, sandbox_config: pod.config, config };
  const { daemon: asked } = pod;
  await slow.world.must("kill", "-STOP", ...makers);
  try {
    const left = assert.rejects(asked.runtime.CreateContainer(request, caller), { code: status.CANCELLED });
    await slow.job("CreateContainer", pod.id, ({ stages }) => stages.at(-1)?.name === "shim");
    caller.abort();
    await left;
  } finally {
    await slow.world.must("kill", "-CONT", ...makers);
  }
  return (await slow.job("CreateContainer", pod.id, ({ state }) => state === "done")).result;
}

test("joinable: a container finished after its caller left is hidden, and the retry's after a restart", async () => {
  const clean = await leftovers(slow.world);
  {
    await using pod = await TestPod.run(daemon);
    const id = await abandonContainer(pod, "main", "echo it was me");
    const hidden = async (): Promise<void> => {
      assert.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
      assert.deepEqual((await daemon.runtime.ListContainerStats({})).stats, []);
      const { containers_statuses } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
      assert.deepEqual(containers_statuses, []);
      assert.equal((await statusOf(daemon, id)).state, "CONTAINER_CREATED");
    };
    await hidden();
    await daemon.end("SIGKILL");
    await daemon.restart();
    await hidden();
    // As the kubelet's: the same metadata, and a file on the host of which each try has its own.
    const retry = scriptConfig("echo another", { mounts: [{ container_path: "/log", host_path: "/tmp" }] });
    const request = { pod_sandbox_id: pod.id, sandbox_config: pod.config, config: retry };
    const { container_id } = await daemon.runtime.CreateContainer(request);
    assert.equal(container_id, id);
    await assert.rejects(daemon.runtime.CreateContainer(request), { code: status.ALREADY_EXISTS });
    await daemon.runtime.StartContainer({ container_id });
    const { log_path } = await untilExited(daemon, container_id);
    assert.equal(streamOf(await slow.world.must("cat", log_path), "stdout"), "it was me\n");
  }
  assert.deepEqual(await leftovers(slow.world), clean);
});

test("joinable: an unclaimed container dies with its pod, and with a retry that finds it dead", async () => {
  const clean = await leftovers(slow.world);
  {
    await using pod = await TestPod.run(daemon);
    const id = await abandonContainer(pod, "main", "exec sleep 1000");
    await daemon.runtime.StopContainer({ container_id: id, timeout: 0 });
    const { container_id } = await daemon.runtime.CreateContainer({
      pod_sandbox_id: pod.id,
      sandbox_config: pod.config,
      config: scriptConfig("exec sleep 1000"),
    });
    assert.notEqual(container_id, id);
    await assert.rejects(statusOf(daemon, id), { code: status.NOT_FOUND });
    await abandonContainer(pod, "other", "exec sleep 1000");
  }
  assert.deepEqual(await leftovers(slow.world), clean);
});

test("joinable: a pull goes on after its caller's deadline, and a retry gets what it fetches", async () => {
  const program = join(import.meta.dirname, "../harness/gated-registry.ts");
  const registry = slow.world.spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
  assert.ok(registry.stdout !== null);
  const [host] = (await once(registry.stdout, "data")) as [Buffer];
  const image = { image: `${host.toString().trim()}/app:1` };
  const left = daemon.images.PullImage({ image }, { timeoutMs: 1000 });
  await assert.rejects(left, { code: status.DEADLINE_EXCEEDED });
  const pulls = async (): Promise<Job__Output[]> => {
    const { jobs } = await daemon.admin.ListJobs({ kind: "PullImage" });
    return jobs;
  };
  assert.deepEqual(
    (await pulls()).map(({ state }) => state),
    ["running"],
  );
  const retry = daemon.images.PullImage({ image });
  registry.stdin?.write("\n");
  const { image_ref } = await retry;
  // Each asks the registry for itself, and they share the download of the layer.
  await eventually(
    async () => ((await pulls()).every(({ state }) => state === "done") ? true : undefined),
    "the pull that was left to end",
  );
  assert.equal((await pulls()).length, 2);
  assert.equal((await daemon.images.ImageStatus({ image })).image?.id, image_ref);
  await daemon.images.RemoveImage({ image });
});

test("joinable: what nobody claims in time goes without a trace, also after a restart", async () => {
  await using impatient = await SlowDaemon.start(["--unclaimed-timeout-ms", "500"]);
  const clean = await leftovers(impatient.world);
  for (const restart of [false, true]) {
    const id = await impatient.abandonPod(podConfig(impatient.daemon));
    if (restart) {
      await impatient.daemon.end("SIGKILL");
      await impatient.daemon.restart();
    }
    const { state } = await impatient.job("RemovePodSandbox", id, (job) => job.state !== "running");
    assert.equal(state, "done");
    assert.deepEqual(await leftovers(impatient.world), clean);
  }
});
