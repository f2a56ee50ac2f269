import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFile } from "node:fs/promises";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage, podConfig, runPod } from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { leftovers } from "../harness/leftovers.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** The host's namespace of a kind, as /proc shows it. */
async function hostNamespace(kind: string): Promise<string> {
  return world.must("readlink", `/proc/self/ns/${kind}`);
}

const namespaceOf = (kind: string): string => `readlink /proc/self/ns/${kind}`;

test("isolation: a container has a PID namespace of its own", async () => {
  await using pod = await TestPod.run(daemon);
  await pod.start("exec sleep 1000");
  const seen = await pod.output("echo $$; ps -o args");
  assert.match(seen, /^1\n/);
  assert.doesNotMatch(seen, /sleep 1000/);
});

test("isolation: a pod's PID namespace is shared, with a reaper as PID 1", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "POD" });
  await pod.start("exec sleep 4242");
  const seen = await pod.output("cat /proc/1/comm; ps -o args");
  assert.match(seen, /^berth-reaper\n/);
  assert.match(seen, /^sleep 4242$/m);
  assert.notEqual(await pod.output(namespaceOf("pid")), await hostNamespace("pid"));
});

test("isolation: orphans of a pod's PID namespace are reaped, those of an ended container killed", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "POD" });
  const watcher = await pod.start("exec sleep 1000");
  await pod.finish("(sleep 5151 &) ; (true &) ; sleep 0.1");
  const left = await execSync(daemon, watcher, "ps", "-o", "stat,args");
  assert.match(left.stdout, /sleep 1000/);
  assert.doesNotMatch(left.stdout, /sleep 5151|^Z/m);
});

test("isolation: the node's PID namespace", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "NODE" });
  assert.equal(await pod.output(namespaceOf("pid")), await hostNamespace("pid"));
});

test("isolation: a container joins the PID namespace of its target", async () => {
  await using pod = await TestPod.run(daemon);
  const target = await pod.start("exec sleep 6161");
  const theirs = await execSync(daemon, target, "readlink", "/proc/self/ns/pid");
  const security = { namespace_options: { pid: "TARGET", target_id: target } } as const;
  const seen = await pod.output(`${namespaceOf("pid")}; tr '\\0' ' ' </proc/1/cmdline`, { security });
  assert.equal(seen, `${theirs.stdout}sleep 6161 \n`);
});

test("isolation: a target that does not run or is not there is refused", async () => {
  await using pod = await TestPod.run(daemon);
  const ended = await pod.finish("true");
  for (const [target_id, message] of [
    [ended.id, new RegExp(ended.id)],
    ["e".repeat(64), /e{64}/],
  ] as const) {
    const security = { namespace_options: { pid: "TARGET", target_id } } as const;
    await assert.rejects(pod.create("true", { security }), (error: { code: number; message: string }) => {
      assert.ok([5, 9, 3].includes(error.code), String(error.code));
      assert.match(error.message, message);
      return true;
    });
  }
});

for (const [kind, option] of [
  ["ipc", "ipc"],
  ["net", "network"],
] as const) {
  test(`isolation: the ${kind} namespace is the pod's, shared by its containers`, async () => {
    await using pod = await TestPod.run(daemon);
    const first = await pod.output(namespaceOf(kind));
    assert.equal(await pod.output(namespaceOf(kind)), first);
    assert.notEqual(first, await hostNamespace(kind));
    await using other = await TestPod.run(daemon);
    assert.notEqual(await other.output(namespaceOf(kind)), first);
  });

  test(`isolation: the ${kind} namespace is the node's where that is asked for`, async () => {
    await using pod = await TestPod.withNamespaces(daemon, { pid: "CONTAINER", [option]: "NODE" });
    assert.equal(await pod.output(namespaceOf(kind)), await hostNamespace(kind));
    const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
    assert.equal(status?.linux?.namespaces?.options?.[option], "NODE");
  });
}

test("isolation: a pod in the node's network has no address of its own", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "CONTAINER", network: "NODE" });
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  assert.equal(status?.state, "SANDBOX_READY");
  assert.equal(status.network?.ip ?? "", "");
});

test("isolation: the hostname is the pod's, and the node's with its network", async () => {
  await using pod = await TestPod.run(daemon, { hostname: "named-by-test" });
  assert.equal(await pod.output("hostname; cat /etc/hostname; echo $HOSTNAME"), "named-by-test\n".repeat(3));
  await using host = await TestPod.withNamespaces(
    daemon,
    { pid: "CONTAINER", network: "NODE" },
    { hostname: "" },
  );
  assert.equal(await host.output("hostname"), await world.must("hostname"));
});

test("isolation: mount, uts and cgroup namespaces are not the node's", async () => {
  await using pod = await TestPod.run(daemon);
  for (const kind of ["mnt", "uts"]) {
    assert.notEqual(await pod.output(namespaceOf(kind)), await hostNamespace(kind), kind);
  }
});

test("isolation: resolv.conf is as the request has it, else the node's", async () => {
  await using pod = await TestPod.run(daemon, {
    dns_config: { servers: ["1.2.3.4", "fd00::1"], searches: ["a.b", "c"], options: ["ndots:2", "rotate"] },
  });
  assert.equal(
    await pod.output("cat /etc/resolv.conf"),
    "nameserver 1.2.3.4\nnameserver fd00::1\nsearch a.b c\noptions ndots:2 rotate\n",
  );
  await using plain = await TestPod.run(daemon, { dns_config: null });
  assert.equal(await plain.output("cat /etc/resolv.conf"), await readFile("/etc/resolv.conf", "utf8"));
});

test("isolation: /etc/hosts names the pod; a mount of the request takes its place", async () => {
  await using pod = await TestPod.run(daemon, { hostname: "in-hosts" });
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: pod.id });
  const hosts = await pod.output("cat /etc/hosts");
  assert.match(hosts, /^127\.0\.0\.1\tlocalhost$/m);
  assert.ok(hosts.includes(`${status?.network?.ip ?? "?"}\tin-hosts\n`), hosts);
  const host_path = await world.file("own-hosts", "10.9.8.7\tkubelet\n");
  const mounts = [{ container_path: "/etc/hosts", host_path }];
  assert.equal(await pod.output("cat /etc/hosts", { mounts }), "10.9.8.7\tkubelet\n");
});

test("isolation: with the node's network /etc/hosts is the node's", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "CONTAINER", network: "NODE" });
  assert.equal(await pod.output("cat /etc/hosts"), await readFile("/etc/hosts", "utf8"));
});

test("isolation: /dev/shm is shared in the pod, 64 MiB, and not the node's", async () => {
  await using pod = await TestPod.run(daemon);
  await pod.finish("echo shared > /dev/shm/note");
  assert.equal(
    await pod.output("cat /dev/shm/note; df -k /dev/shm | awk 'END { print $2 }'"),
    "shared\n65536\n",
  );
  await using other = await TestPod.run(daemon);
  assert.equal(await other.output("ls /dev/shm"), "");
});

test("isolation: with the node's IPC /dev/shm is the node's", async () => {
  await using pod = await TestPod.withNamespaces(daemon, { pid: "CONTAINER", ipc: "NODE" });
  const device = await world.must("stat", "-c", "%d", "/dev/shm");
  assert.equal(await pod.output("stat -c %d /dev/shm"), device);
});

test("isolation: sysctls of the pod's namespaces are set", async () => {
  await using pod = await TestPod.run(daemon, {
    linux: {
      security_context: { namespace_options: { pid: "CONTAINER" } },
      sysctls: {
        "kernel.msgmax": "12345",
        "net.ipv4.ip_local_port_range": "2000 3000",
        "net/ipv4/tcp_syncookies": "0",
      },
    },
  });
  assert.equal(
    await pod.output("cd /proc/sys; cat kernel/msgmax net/ipv4/ip_local_port_range net/ipv4/tcp_syncookies"),
    "12345\n2000\t3000\n0\n",
  );
});

test("isolation: sysctls of the node are refused by name, and nothing is left", async () => {
  await using _first = await TestPod.run(daemon);
  const clean = await leftovers(world);
  const hostNetwork = { pid: "CONTAINER", network: "NODE" } as const;
  const hostIpc = { pid: "CONTAINER", ipc: "NODE" } as const;
  for (const [name, value, namespace_options] of [
    ["kernel.panic", "1", {}],
    ["vm.swappiness", "1", {}],
    ["kernel.core_pattern", "|/bin/sh", {}],
    ["net.ipv4.ip_forward", "1", hostNetwork],
    ["kernel.shmmax", "1", hostIpc],
    ["kernel.msgmax", "1+\nkernel.panic=1", {}],
    ["net.ipv4.no_such_sysctl", "1", {}],
    ["net.ipv4.ip_local_port_range", "not a range", {}],
  ] as const) {
    const config = podConfig(daemon, {
      linux: { security_context: { namespace_options }, sysctls: { [name]: value } },
    });
    await assert.rejects(runPod(daemon, config), (error: { code: number; message: string }) => {
      assert.equal(error.code, 3, `${name}: ${error.message}`);
      assert.ok(error.message.includes(name.split(".").at(-1) ?? ""), error.message);
      return true;
    });
  }
  assert.deepEqual(await leftovers(world), clean);
});
