import assert from "node:assert/strict";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage, podConfig } from "../harness/requests.ts";
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

/** Ids from 200000 on, which no user of the host has. */
const mapping = [{ host_id: 200_000, container_id: 0, length: 65_536 }];
const userNamespace = {
  userns_options: { mode: "POD", uids: mapping, gids: mapping },
  pid: "CONTAINER",
} as const;

interface Seen {
  readonly pid: number;
  readonly cgroup: string;
  readonly runtimeSpec: Readonly<Record<string, unknown>>;
}

/** What the daemon tells of a container to who asks for all of it. */
async function inspect(container_id: string): Promise<Seen> {
  const { info } = await daemon.runtime.ContainerStatus({ container_id, verbose: true });
  return JSON.parse(info["info"] ?? "") as Seen;
}

test("CVE-2024-21626: a working folder below /proc is refused, whatever leaked descriptor it names", async () => {
  await using pod = await TestPod.run(daemon);
  for (let number = 3; number < 20; number++) {
    const created = pod.create("ls", { working_dir: `/proc/self/fd/${number}` });
    await assert.rejects(created, { message: new RegExp(`/proc/self/fd/${number}`) });
  }
  for (const working_dir of ["/proc/1/cwd", "/proc/self/root", "/proc/thread-self/fd/7"]) {
    await assert.rejects(pod.create("ls", { working_dir }), working_dir);
  }
});

const hostNetwork: PodSandboxConfig = {
  linux: { security_context: { namespace_options: { network: "NODE" } } },
};
const hostIpc: PodSandboxConfig = { linux: { security_context: { namespace_options: { ipc: "NODE" } } } };

for (const [id, what, base, sysctls] of [
  ["CVE-2022-0532", "a host network's", hostNetwork, { "net.ipv4.ip_forward": "1" }],
  ["CVE-2022-0532", "a host IPC's", hostIpc, { "kernel.shmmax": "1" }],
  ["CVE-2022-0532", "a host IPC's queues'", hostIpc, { "fs.mqueue.msg_max": "1" }],
  ["CVE-2022-0811", "the host's", {}, { "kernel.core_pattern": "|/tmp/evil" }],
  ["CVE-2022-0811", "two in one name", {}, { "kernel.shm_rmid_forced+kernel.core_pattern": "1" }],
  ["CVE-2022-0811", "one below another", {}, { "net/../kernel/core_pattern": "|/tmp/evil" }],
  ["CVE-2022-0811", "one by dots", {}, { "net....kernel.core_pattern": "|/tmp/evil" }],
  ["CVE-2022-0811", "two in one value", {}, { "net.ipv4.ip_forward": "1\nkernel.core_pattern=|/tmp/evil" }],
  ["CVE-2022-0811", "a mixed spelling", {}, { "net.ipv4/../../kernel/core_pattern": "|/tmp/evil" }],
] as const satisfies readonly (readonly [string, string, PodSandboxConfig, Record<string, string>])[]) {
  test(`${id}: a sysctl that is ${what} is refused`, async () => {
    const read = (): Promise<string> =>
      world.must("sh", "-c", "cat /proc/sys/kernel/core_pattern /proc/sys/kernel/shm*");
    const before = await read();
    const config = podConfig(daemon, { ...base, linux: { ...("linux" in base ? base.linux : {}), sysctls } });
    await assert.rejects(daemon.runtime.RunPodSandbox({ config }), { code: 3, message: /linux\.sysctls\[/ });
    assert.equal(await read(), before);
  });
}

test("CVE-2023-6476, CVE-2024-3154: no annotation changes what a container may do", async () => {
  const annotations = {
    "io.kubernetes.cri-o.UnifiedCgroup.c1": "memory.max=max",
    "io.kubernetes.cri-o.userns-mode": "auto:size=1",
    "io.kubernetes.cri-o.Devices": "/dev/kmsg:/dev/kmsg:rwm",
    "cpu-quota.crio.io": "disable",
    "org.systemd.property.ExecStartPre": "['/bin/sh', '-c', 'touch /evil']",
    "org.systemd.property.CPUQuota": "'1000%'",
    "io.containerd.runc.v2.group": "x",
    "container.apparmor.security.beta.kubernetes.io/c1": "unconfined",
    "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
    "run.oci.keep_original_groups": "1",
    "module.wasm.image/variant": "compat",
  };
  const specOf = async (change: { readonly annotations?: Record<string, string> }): Promise<string> => {
    await using pod = await TestPod.run(daemon, {
      ...change,
      metadata: { name: "same", namespace: "test", uid: "same", attempt: 0 },
      hostname: "same",
    });
    const id = await pod.create("true", { ...change, metadata: { name: "same", attempt: 0 } });
    return JSON.stringify((await inspect(id)).runtimeSpec)
      .replaceAll(pod.id, "POD")
      .replaceAll(id, "CONTAINER");
  };
  assert.equal(await specOf({ annotations }), await specOf({}));
});

test("CVE-2025-47291: a container with a user namespace stays in its pod's cgroup", async () => {
  const cgroup_parent = `${world.cgroupParent}/kubepods/pod1`;
  for (const namespace_options of [userNamespace, { pid: "CONTAINER" } as const]) {
    await using pod = await TestPod.run(daemon, {
      linux: { cgroup_parent, security_context: { namespace_options } },
    });
    const id = await pod.start("exec sleep 1000");
    const { pid } = await inspect(id);
    const lines = (await world.must("cat", `/proc/${pid}/cgroup`)).trim().split("\n");
    const paths = lines.map((line) => line.split(":")[2] ?? "");
    for (const path of paths) assert.ok(path.endsWith(`/kubepods/pod1/${id}`), path);
    await daemon.runtime.RemoveContainer({ container_id: id });
  }
});

test("CVE-2023-25809: the cgroups that a container sees are not to be written, with a user namespace or without", async () => {
  const script = `
    for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
      mkdir $d/evil 2>/dev/null && echo "made $d/evil"
      for f in cgroup.procs release_agent notify_on_release tasks; do
        [ -e $d/$f ] && (echo 1 >$d/$f) 2>/dev/null && echo "wrote $d/$f"
      done
    done; true`;
  for (const namespace_options of [
    userNamespace,
    { ...userNamespace, network: "NODE" },
    { pid: "CONTAINER" },
    { pid: "NODE", network: "NODE", ipc: "NODE" },
  ] as const) {
    await using pod = await TestPod.run(daemon, { linux: { security_context: { namespace_options } } });
    assert.equal(await pod.output(script), "", JSON.stringify(namespace_options));
  }
});

test("CVE-2025-0750, CVE-2026-53489: a log stays below its folder, and no symlink is written through", async () => {
  const victim = join(world.folder, "not-a-log");
  await writeFile(victim, "mine\n");
  await using pod = await TestPod.run(daemon);
  const logs = pod.config.log_directory ?? "";
  for (const log_path of [`../${"../".repeat(20)}${victim}`, victim, "a/../../x", "..", "a\0b"]) {
    await assert.rejects(pod.create("true", { log_path }), { code: 3, message: /log_path/ });
  }
  await mkdir(logs, { recursive: true });
  await symlink(victim, join(logs, "link.log"));
  await assert.rejects(pod.create("echo evil", { log_path: "link.log" }), /link\.log/);
  const id = await pod.start("while :; do echo evil; sleep 0.02; done", { log_path: "moved.log" });
  await world.must("mv", join(logs, "moved.log"), join(logs, "old"));
  await symlink(victim, join(logs, "moved.log"));
  await assert.rejects(daemon.runtime.ReopenContainerLog({ container_id: id }), /moved\.log/);
  assert.equal(await world.must("cat", victim), "mine\n");
});

test("CVE-2024-8676, CVE-2026-50195: there is no checkpoint and no restore", async () => {
  await using pod = await TestPod.run(daemon);
  const container_id = await pod.start("exec sleep 1000");
  const location = join(world.folder, "checkpoint.tar");
  await assert.rejects(daemon.runtime.CheckpointContainer({ container_id, location }), { code: 12 });
  assert.ok(!(await readdir(world.folder)).includes("checkpoint.tar"));
});

test("CVE-2022-29162, CVE-2022-24769: no inheritable or ambient capability, of an added process neither", async () => {
  await using pod = await TestPod.run(daemon);
  for (const security of [
    {},
    { run_as_user: { value: 1000 } },
    { capabilities: { add_capabilities: ["NET_ADMIN"] } },
  ]) {
    const id = await pod.start("exec sleep 1000", { security });
    const added = await execSync(daemon, id, "cat", "/proc/self/status", "/proc/1/status");
    assert.deepEqual(added.stdout.match(/^Cap(Inh|Amb):.*$/gm), [
      "CapInh:\t0000000000000000",
      "CapAmb:\t0000000000000000",
      "CapInh:\t0000000000000000",
      "CapAmb:\t0000000000000000",
    ]);
  }
});

test("CVE-2022-4318: control characters are refused where they would reach a file of the container", async () => {
  await using pod = await TestPod.run(daemon);
  const evil = "x\n6.6.6.6 registry.k8s.io";
  const home = [{ key: "HOME", value: Buffer.from("/root\nevil:x:0:0::/:/bin/sh") }];
  await assert.rejects(pod.create("true", { envs: home }), { code: 3, message: /HOME/ });
  for (const change of [
    { hostname: evil },
    { dns_config: { servers: [evil] } },
    { dns_config: { searches: [evil] } },
    { dns_config: { options: [evil] } },
  ]) {
    const config = podConfig(daemon, change);
    await assert.rejects(daemon.runtime.RunPodSandbox({ config }), { code: 3 }, JSON.stringify(change));
  }
});

test("CVE-2019-19921, CVE-2025-62161: a mount at /proc or below it is refused, also by a symlink of a volume", async () => {
  const volume = join(world.folder, "volume");
  await mkdir(volume);
  await writeFile(join(volume, "fake"), "");
  await symlink("/proc/self", join(volume, "link"));
  await using pod = await TestPod.run(daemon);
  const at = (container_path: string, host_path = volume) => ({ container_path, host_path });
  for (const mounts of [
    [at("/proc")],
    [at("/proc/self")],
    [at("/tmp/../proc")],
    [at("/proc/sys/kernel")],
    [at("/volume"), at("/volume/link")],
    [at("/volume"), at("/volume/link/attr/exec", join(volume, "fake"))],
  ]) {
    await assert.rejects(
      pod.create("true", { mounts }),
      { message: /mounted at \/proc|proc/ },
      JSON.stringify(mounts),
    );
  }
});
