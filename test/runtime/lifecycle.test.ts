import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import {
  execSync,
  logOf,
  makeTestImage,
  podConfig,
  runPod,
  scriptConfig,
  startContainer,
  statusOf,
  untilExited,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { leftovers } from "../harness/leftovers.ts";

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

test("lifecycle: the daemon says who it is and that it is ready", async () => {
  const version = await daemon.runtime.Version({});
  assert.equal(version.version, "0.1.0");
  assert.equal(version.runtime_name, "berth");
  assert.equal(version.runtime_api_version, "v1");
  const { status } = await daemon.runtime.Status({});
  assert.deepEqual(
    status?.conditions.map((condition) => [condition.type, condition.status]),
    [
      ["RuntimeReady", true],
      ["NetworkReady", true],
    ],
  );
  const { linux } = await daemon.runtime.RuntimeConfig({});
  assert.equal(linux?.cgroup_driver, "CGROUPFS");
});

test("lifecycle: a pod and a container from nothing to nothing", async () => {
  // The first pod makes the bridge, which stays.
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: await runPod(daemon, podConfig(daemon)) });
  const before = await leftovers(world);
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const { status: pod } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: podId });
  assert.equal(pod?.state, "SANDBOX_READY");
  assert.match(pod.network?.ip ?? "", /^10\.88\./);
  await world.must("busybox", "ping", "-c", "1", "-W", "2", pod.network?.ip ?? "");

  const script = "echo out; echo err >&2; hostname; cat /etc/hosts /etc/resolv.conf; exec sleep 1000";
  const id = await startContainer(daemon, podId, config, scriptConfig(script));
  assert.equal((await statusOf(daemon, id)).state, "CONTAINER_RUNNING");
  const exec = await execSync(daemon, id, "sh", "-c", "echo to-out; echo to-err >&2; exit 7");
  assert.deepEqual(exec, { stdout: "to-out\n", stderr: "to-err\n", code: 7 });

  const log = await logOf(daemon, id);
  assert.ok(log.includes("stdout F out"), log.join("\n"));
  assert.ok(log.includes("stderr F err"));
  assert.ok(log.includes(`stdout F ${config.hostname ?? ""}`));
  assert.ok(log.includes(`stdout F ${pod.network?.ip ?? ""}\t${config.hostname ?? ""}`));
  assert.ok(log.includes("stdout F nameserver 10.0.0.10"));

  await daemon.runtime.StopContainer({ container_id: id, timeout: 1 });
  const stopped = await statusOf(daemon, id);
  assert.equal(stopped.state, "CONTAINER_EXITED");
  assert.ok([137, 143].includes(stopped.exit_code), String(stopped.exit_code));
  await daemon.runtime.RemoveContainer({ container_id: id });
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: podId });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
  const { items } = await daemon.runtime.ListPodSandbox({});
  assert.deepEqual(items, []);
  assert.deepEqual(await leftovers(world), before);
});

test("lifecycle: exit codes, times and reasons", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  for (const [name, script, code, reason] of [
    ["ok", "exit 0", 0, "Completed"],
    ["bad", "exit 3", 3, "Error"],
    ["signal", "sh -c 'kill -TERM $$'; exit $?", 143, "Error"],
  ] as const) {
    const id = await startContainer(
      daemon,
      podId,
      config,
      scriptConfig(script, { metadata: { name, attempt: 0 }, log_path: `${name}.log` }),
    );
    const status = await untilExited(daemon, id);
    assert.equal(status.exit_code, code, name);
    assert.equal(status.reason, reason, name);
    assert.ok(BigInt(status.created_at) <= BigInt(status.started_at), name);
    assert.ok(BigInt(status.started_at) <= BigInt(status.finished_at), name);
  }
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
  const { containers } = await daemon.runtime.ListContainers({ filter: { pod_sandbox_id: podId } });
  assert.deepEqual(containers, []);
});

test("lifecycle: a command that is not there fails the start, says so, and leaves an exited container", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  const { container_id } = await daemon.runtime.CreateContainer({
    pod_sandbox_id: podId,
    config: { ...scriptConfig(""), command: ["/no/such/command"] },
    sandbox_config: config,
  });
  await assert.rejects(daemon.runtime.StartContainer({ container_id }), /\/no\/such\/command/);
  const status = await statusOf(daemon, container_id);
  assert.equal(status.state, "CONTAINER_EXITED");
  assert.equal(status.reason, "ContainerCannotRun");
  assert.match(status.message, /\/no\/such\/command/);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("lifecycle: a start that fails for another reason is a StartError, and says which", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  // One argument may have 128 KiB (execve(2), E2BIG).
  const { container_id } = await daemon.runtime.CreateContainer({
    pod_sandbox_id: podId,
    config: { ...scriptConfig(""), command: ["/bin/echo", "x".repeat(200_000)] },
    sandbox_config: config,
  });
  await assert.rejects(daemon.runtime.StartContainer({ container_id }), /argument list too long/);
  const { state, reason, message, exit_code } = await statusOf(daemon, container_id);
  assert.equal(state, "CONTAINER_EXITED");
  assert.equal(reason, "StartError");
  assert.match(message, /argument list too long/);
  assert.equal(exit_code, 128);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("lifecycle: stop, remove and exec of what is not there", async () => {
  await daemon.runtime.StopContainer({ container_id: "f".repeat(64), timeout: 0 });
  await daemon.runtime.RemoveContainer({ container_id: "f".repeat(64) });
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: "f".repeat(64) });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: "f".repeat(64) });
  const notFound = { code: 5 };
  await assert.rejects(daemon.runtime.StartContainer({ container_id: "f".repeat(64) }), notFound);
  await assert.rejects(daemon.runtime.ContainerStatus({ container_id: "f".repeat(64) }), notFound);
  await assert.rejects(daemon.runtime.PodSandboxStatus({ pod_sandbox_id: "f".repeat(64) }), notFound);
  await assert.rejects(daemon.runtime.ExecSync({ container_id: "f".repeat(64), cmd: ["true"] }), notFound);
});

test("lifecycle: a duplicate name is refused with the id of its owner", async () => {
  const config = podConfig(daemon);
  const podId = await runPod(daemon, config);
  await assert.rejects(runPod(daemon, config), { code: 6, message: new RegExp(podId) });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});
