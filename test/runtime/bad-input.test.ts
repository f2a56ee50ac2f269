import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ContainerConfig } from "../../src/cri/types/runtime/v1/ContainerConfig.ts";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { busyboxEntries, importImage } from "../harness/images.ts";
import { type Leftovers, leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { makeTestImage, podConfig, scriptConfig, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let clean: Leftovers;

const code = {
  cancelled: 1,
  invalid: 3,
  notFound: 5,
  exists: 6,
  precondition: 9,
  unimplemented: 12,
  unavailable: 14,
};

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  // The first pod makes the bridge, which stays.
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
  clean = await leftovers(world);
});

after(() => bed.disposeAsync());

const nobody = "a".repeat(64);

test("bad input: ids that are unknown are not found, empty ones are invalid", async () => {
  const { runtime } = daemon;
  const calls: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
    PodSandboxStatus: (id) => runtime.PodSandboxStatus({ pod_sandbox_id: id }),
    PortForward: (id) => runtime.PortForward({ pod_sandbox_id: id, port: [80] }),
    CreateContainer: (id) =>
      runtime.CreateContainer({
        pod_sandbox_id: id,
        config: scriptConfig("true"),
        sandbox_config: podConfig(daemon),
      }),
    StartContainer: (id) => runtime.StartContainer({ container_id: id }),
    ContainerStatus: (id) => runtime.ContainerStatus({ container_id: id }),
    UpdateContainerResources: (id) => runtime.UpdateContainerResources({ container_id: id, linux: {} }),
    ReopenContainerLog: (id) => runtime.ReopenContainerLog({ container_id: id }),
    ExecSync: (id) => runtime.ExecSync({ container_id: id, cmd: ["true"] }),
    Exec: (id) => runtime.Exec({ container_id: id, cmd: ["true"], stdout: true }),
    Attach: (id) => runtime.Attach({ container_id: id, stdout: true }),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const id of [nobody, "../../etc", "x'\"\n", "aa"]) {
      await assert.rejects(call(id), (error: { code: number; details: string }) => {
        assert.equal(error.code, code.notFound, `${name} ${id}: ${error.details}`);
        assert.ok(error.details.includes(JSON.stringify(id).slice(1, -1)), `${name}: ${error.details}`);
        return true;
      });
    }
    await assert.rejects(call(""), { code: code.invalid, details: /id: empty/ }, name);
  }
});

test("bad input: stopping and removing what is not there is no error, with an empty id it is", async () => {
  const { runtime, images } = daemon;
  for (const id of [nobody, "../../etc"]) {
    await runtime.StopContainer({ container_id: id, timeout: 1 });
    await runtime.RemoveContainer({ container_id: id });
    await runtime.StopPodSandbox({ pod_sandbox_id: id });
    await runtime.RemovePodSandbox({ pod_sandbox_id: id });
  }
  await images.RemoveImage({ image: { image: "berth.test/absent:latest" } });
  for (const call of [
    runtime.StopContainer({ container_id: "", timeout: 1 }),
    runtime.RemoveContainer({ container_id: "" }),
    runtime.StopPodSandbox({ pod_sandbox_id: "" }),
    runtime.RemovePodSandbox({ pod_sandbox_id: "" }),
    images.RemoveImage({ image: { image: "" } }),
  ]) {
    await assert.rejects(call, { code: code.invalid });
  }
});

const metadata = { name: "bad", namespace: "test", uid: "bad", attempt: 0 };

for (const [what, change, message] of [
  ["no metadata", { metadata: null }, /config\.metadata/],
  ["no name", { metadata: { ...metadata, name: "" } }, /config\.metadata\.name/],
  ["no namespace", { metadata: { ...metadata, namespace: "" } }, /config\.metadata\.namespace/],
  ["no uid", { metadata: { ...metadata, uid: "" } }, /config\.metadata\.uid/],
  ["a name with a newline", { metadata: { ...metadata, name: "a\nb" } }, /config\.metadata\.name/],
  ["a hostname that is none", { hostname: "not a hostname" }, /not a hostname/],
  ["a hostname of 65 letters", { hostname: "h".repeat(65) }, /hostname/],
  [
    "a DNS server with a newline",
    { dns_config: { servers: ["1.1.1.1\nnameserver 6.6.6.6"] } },
    /dns_config\.servers/,
  ],
  [
    "a DNS option with a newline",
    { dns_config: { options: ["a\nnameserver 6.6.6.6"] } },
    /dns_config\.options/,
  ],
  ["a log directory that is relative", { log_directory: "logs" }, /log_directory/],
  [
    "a port beyond 65535",
    { port_mappings: [{ container_port: 70_000, host_port: 1 }] },
    /port_mappings\[0\]/,
  ],
  ["a cgroup parent that is relative", { linux: { cgroup_parent: "kubepods.slice" } }, /cgroup_parent/],
  [
    "a network mode that is none of a pod's",
    { linux: { security_context: { namespace_options: { network: "TARGET" } } } },
    /network/,
  ],
  [
    "a user namespace that maps nobody",
    { linux: { security_context: { namespace_options: { userns_options: { mode: "CONTAINER" } } } } },
    /userns_options/,
  ],
] as const satisfies readonly (readonly [string, PodSandboxConfig, RegExp])[]) {
  test(`bad input: a pod with ${what} is refused and leaves nothing`, async () => {
    const config = podConfig(daemon, change);
    await assert.rejects(daemon.runtime.RunPodSandbox({ config }), { code: code.invalid, details: message });
    assert.deepEqual(await leftovers(world), clean);
    assert.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
  });
}

test("bad input: a pod without config, or with a handler that nobody configured", async () => {
  await assert.rejects(daemon.runtime.RunPodSandbox({}), { code: code.invalid, details: /config/ });
  const config = podConfig(daemon);
  await assert.rejects(daemon.runtime.RunPodSandbox({ config, runtime_handler: "kata" }), {
    code: code.invalid,
    details: /kata/,
  });
});

const missingDigest = `berth.test/busybox@sha256:${"0".repeat(64)}`;

for (const [what, change, expected, message] of [
  ["no metadata", { metadata: null }, code.invalid, /config\.metadata/],
  ["no name", { metadata: { name: "", attempt: 0 } }, code.invalid, /config\.metadata\.name/],
  ["no image", { image: null }, code.invalid, /config\.image/],
  ["an empty image", { image: { image: "" } }, code.invalid, /config\.image\.image/],
  [
    "an image that is absent",
    { image: { image: "berth.test/none:1" } },
    code.notFound,
    /berth\.test\/none:1/,
  ],
  ["a digest that nobody has", { image: { image: missingDigest } }, code.notFound, /sha256:0{64}/],
  ["an image name that is none", { image: { image: "UPPER/case:x:y" } }, code.invalid, /UPPER\/case:x:y/],
  [
    "a variable without a name",
    { envs: [{ key: "", value: Buffer.from("x") }] },
    code.invalid,
    /config\.envs\[0\]/,
  ],
  [
    "a variable with = in it",
    { envs: [{ key: "A=B", value: Buffer.from("x") }] },
    code.invalid,
    /config\.envs\[0\]/,
  ],
  ["an argument with NUL", { args: ["a\0b"] }, code.invalid, /config\.args\[0\]/],
  ["a relative working folder", { working_dir: "work" }, code.invalid, /config\.working_dir/],
  [
    "a device's wrong permissions",
    { devices: [{ host_path: "/dev/null", permissions: "x" }] },
    code.invalid,
    /devices\[0\]/,
  ],
  [
    "an image volume that is absent",
    { mounts: [{ container_path: "/v", image: { image: "x.test/v:1" }, readonly: true }] },
    undefined,
    /ImageVolumeMountFailed/,
  ],
  ["a CDI device", { CDI_devices: [{ name: "vendor.com/gpu=0" }] }, code.invalid, /vendor\.com\/gpu=0/],
] as const satisfies readonly (readonly [string, ContainerConfig, number | undefined, RegExp])[]) {
  test(`bad input: a container with ${what} is refused and leaves nothing`, async () => {
    await using pod = await TestPod.run(daemon);
    const without = await leftovers(world);
    await assert.rejects(pod.create("true", change), (error: { code: number; details: string }) => {
      assert.match(error.details, message);
      if (expected !== undefined) assert.equal(error.code, expected, error.details);
      return true;
    });
    assert.deepEqual(await leftovers(world), without);
    assert.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
  });
}

test("bad input: a name that is taken is refused with the id of its owner, an other attempt is not", async () => {
  await using pod = await TestPod.run(daemon);
  const change = { metadata: { name: "same", attempt: 0 } };
  const id = await pod.create("true", change);
  await assert.rejects(pod.create("true", change), { code: code.exists, details: new RegExp(id) });
  await pod.create("true", { metadata: { name: "same", attempt: 1 } });
  await daemon.runtime.RemoveContainer({ container_id: id });
  await pod.create("true", change);
});

test("bad input: a stopped pod takes no container", async () => {
  await using pod = await TestPod.run(daemon);
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id: pod.id });
  await assert.rejects(pod.create("true"), { code: code.precondition, details: new RegExp(pod.id) });
});

test("bad input: what a container's state does not allow", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.create("exec sleep 1000");
  const refused = { code: code.precondition, details: new RegExp(id) };
  await assert.rejects(daemon.runtime.ExecSync({ container_id: id, cmd: ["true"] }), refused);
  await assert.rejects(daemon.runtime.ReopenContainerLog({ container_id: id }), refused);
  await daemon.runtime.StartContainer({ container_id: id });
  await assert.rejects(daemon.runtime.StartContainer({ container_id: id }), refused);
  await assert.rejects(daemon.runtime.ExecSync({ container_id: id, cmd: [] }), {
    code: code.invalid,
    details: /cmd/,
  });
  await daemon.runtime.StopContainer({ container_id: id, timeout: 0 });
  await assert.rejects(daemon.runtime.StartContainer({ container_id: id }), refused);
  await assert.rejects(daemon.runtime.ExecSync({ container_id: id, cmd: ["true"] }), refused);
});

test("bad input: a command that cannot be executed says so, with a shell's code", async () => {
  await using pod = await TestPod.run(daemon);
  for (const [command, exitCode] of [
    ["/etc", 126],
    ["/no/such", 127],
    ["not-in-path", 127],
  ] as const) {
    const id = await pod.create("", { command: [command] });
    await assert.rejects(daemon.runtime.StartContainer({ container_id: id }), new RegExp(command));
    const status = await statusOf(daemon, id);
    assert.deepEqual([status.state, status.exit_code], ["CONTAINER_EXITED", exitCode], command);
    assert.equal(status.reason, "ContainerCannotRun");
    assert.ok(status.message.includes(command), status.message);
  }
});

test("bad input: an image whose program is no program", async () => {
  const image = "berth.test/garbage:latest";
  const program = { name: "program", data: "no machine code\n", mode: 0o755 };
  await importImage(daemon, image, [...(await busyboxEntries()), program], { Cmd: ["/program"] });
  await using pod = await TestPod.run(daemon);
  const id = await pod.create("", { image: { image }, command: [] });
  await assert.rejects(daemon.runtime.StartContainer({ container_id: id }), /\/program/);
  assert.equal((await statusOf(daemon, id)).state, "CONTAINER_EXITED");
});

test("bad input: hostile labels come back byte for byte and select what they name", async () => {
  const labels = { "$(reboot)": "`id`", "a/../b": "\"}],[{'", "%s%n": "\\x00\u0000\r\n", ["__proto__"]: "p" };
  await using pod = await TestPod.run(daemon, { labels, annotations: labels });
  const id = await pod.create("true", { labels, annotations: labels });
  const { items } = await daemon.runtime.ListPodSandbox({ filter: { label_selector: labels } });
  assert.deepEqual(
    items.map((item) => [item.id, Object.entries(item.labels)]),
    [[pod.id, Object.entries(labels)]],
  );
  const { containers } = await daemon.runtime.ListContainers({ filter: { label_selector: labels } });
  assert.deepEqual(
    containers.map((item) => item.id),
    [id],
  );
  const none = await daemon.runtime.ListContainers({ filter: { label_selector: { ...labels, more: "x" } } });
  assert.deepEqual(none.containers, []);
});

test("bad input: filters: prefixes of ids, states, both at once", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.create("true");
  const { id: ended } = await pod.finish("true");
  const list = async (filter: object): Promise<readonly string[]> => {
    const { containers } = await daemon.runtime.ListContainers({ filter });
    return containers.map((item) => item.id).toSorted();
  };
  assert.deepEqual(await list({}), [id, ended].toSorted());
  assert.deepEqual(await list({ id: id.slice(0, 12) }), [id]);
  assert.deepEqual(await list({ pod_sandbox_id: pod.id.slice(0, 12) }), [id, ended].toSorted());
  assert.deepEqual(await list({ state: { state: "CONTAINER_EXITED" } }), [ended]);
  assert.deepEqual(await list({ state: { state: "CONTAINER_RUNNING" } }), []);
  assert.deepEqual(await list({ id, state: { state: "CONTAINER_EXITED" } }), []);
  assert.deepEqual(await list({ id: nobody }), []);
});

test("bad input: a registry that nobody serves", async () => {
  const image = { image: "127.0.0.1:9/none:latest" };
  await assert.rejects(daemon.images.PullImage({ image }), {
    code: code.unavailable,
    details: /^RegistryUnavailable.*127\.0\.0\.1:9/,
  });
  assert.deepEqual((await daemon.images.ImageStatus({ image })).image, null);
});

test("bad input: nothing is left of all this", async () => {
  assert.deepEqual(await leftovers(world), clean);
  assert.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
});
