import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, makeTestImage, statusOf, testImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(
    await TestDaemon.start(world, { flags: ["--images-pinned", "https://ann:secret@host/x"] }),
  );
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

interface Job {
  readonly kind: string;
  readonly subject: string;
  readonly state: string;
  readonly stage: string;
  readonly seconds: number;
  readonly error: string;
}

/** What `info.info` of an answer holds. */
function parse(info: Readonly<Record<string, string>>): unknown {
  return JSON.parse(info["info"] ?? "");
}

test("verbose: the daemon tells its configuration without secrets, its paths, checks and counts", async () => {
  const { info, status } = await daemon.runtime.Status({ verbose: true });
  const read = (key: string): unknown => JSON.parse(info[key] ?? "null");
  const config = read("config") as Record<string, unknown>;
  assert.equal(config["unclaimedTimeoutMs"], 120_000);
  assert.deepEqual(config["pinnedImages"], ["https://<redacted>@host/x"]);
  assert.ok(!JSON.stringify(info).includes("secret"));
  assert.equal((read("paths") as { socket: string }).socket, daemon.socket);
  assert.ok((read("kernel_checks") as unknown[]).length > 5);
  assert.equal((read("counts") as { images: number }).images, 1);
  assert.equal(status?.conditions.length, 2);
  assert.deepEqual((await daemon.runtime.Status({})).info, {});
});

test("verbose: a pod's processes, files and jobs", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "POD" });
  const { info } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id, verbose: true });
  const seen = parse(info) as {
    pid: number;
    files: { hosts: string };
    pins: { network: string };
    cgroup: string;
    jobs: Job[];
    config: { hostname: string };
  };
  const comm = await world.must("cat", `/proc/${seen.pid}/stat`);
  assert.ok(comm.startsWith(`${seen.pid} (`));
  assert.match(await world.must("cat", seen.files.hosts), new RegExp(pod.config.hostname ?? "?"));
  await world.must("nsenter", `--net=${seen.pins.network}`, "true");
  assert.equal(seen.cgroup, `${world.cgroupParent}/pod-${pod.id}`);
  assert.equal(seen.config.hostname, pod.config.hostname);
  assert.deepEqual(
    seen.jobs.map(({ kind, state, error }) => [kind, state, error]),
    [["RunPodSandbox", "done", ""]],
  );
  assert.deepEqual((await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id })).info, {});
});

test("verbose: a container's process, spec, paths, and the jobs about it with stage and age", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("trap '' TERM; echo ready; while :; do sleep 1000 & wait; done", {
    envs: [{ key: "COLOUR", value: Buffer.from("teal") }],
  });
  const stopping = daemon.runtime.StopContainer({ container_id: id, timeout: 600 });
  const look = async () => {
    const { info } = await daemon.runtime.ContainerStatus({ container_id: id, verbose: true });
    return parse(info) as {
      pid: number;
      bundle: string;
      writableLayer: string;
      exitRecord: string;
      cgroup: string;
      jobs: Job[];
      runtimeSpec: { process: { env: string[] } };
    };
  };
  const seen = await eventually(async () => {
    const found = await look();
    return found.jobs[0]?.kind === "StopContainer" ? found : undefined;
  }, "the job that stops the container");
  assert.equal(seen.jobs[0]?.state, "running");
  assert.ok(seen.jobs[0].seconds >= 0);
  assert.deepEqual(
    seen.jobs.slice(1).map(({ kind, stage, state }) => [kind, stage, state]),
    [
      ["StartContainer", "execve", "done"],
      ["CreateContainer", "shim", "done"],
    ],
  );
  assert.match(await world.must("cat", `/proc/${seen.pid}/environ`), /COLOUR=teal/);
  assert.ok(seen.runtimeSpec.process.env.includes("COLOUR=teal"));
  for (const path of [seen.bundle, seen.writableLayer, seen.exitRecord]) await world.must("ls", path);
  assert.match(await world.must("cat", `/proc/${seen.pid}/cgroup`), new RegExp(seen.cgroup));

  const { info } = await daemon.runtime.Status({ verbose: true });
  const running = JSON.parse(info["running_jobs"] ?? "[]") as Job[];
  assert.deepEqual(
    running.map(({ kind, subject }) => [kind, subject]),
    [["StopContainer", id]],
  );
  await daemon.runtime.StopContainer({ container_id: id, timeout: 0 });
  await stopping;
  const after = await look();
  assert.equal(after.pid, 0);
  assert.ok(after.jobs.every(({ state }) => state === "done"));
});

test("verbose: an image's parts, its containers and its jobs", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.create("true");
  const { image_id } = await statusOf(daemon, id);
  const { info } = await daemon.images.ImageStatus({ image: { image: image_id }, verbose: true });
  const seen = parse(info) as {
    id: string;
    layers: string[];
    store: string;
    containers: string[];
    jobs: Job[];
  };
  assert.equal(seen.id, image_id);
  assert.equal(seen.layers.length, 1);
  assert.deepEqual(seen.containers, [id]);
  await world.must("ls", seen.store);
  assert.deepEqual(
    seen.jobs.map(({ kind, subject }) => [kind, subject]),
    [["ImageFromHost", testImage]],
  );
  assert.deepEqual((await daemon.images.ImageStatus({ image: { image: image_id } })).info, {});
});
