import assert from "node:assert/strict";
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Capability } from "../../src/cri/types/runtime/v1/Capability.ts";
import type { LinuxContainerSecurityContext } from "../../src/cri/types/runtime/v1/LinuxContainerSecurityContext.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { busyboxEntries, importImage } from "../harness/images.ts";
import { type ContainerChange, TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

/** An image with accounts, a volume and a user. */
const accounts = "berth.test/accounts:latest";

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  const passwd = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/home/web:/bin/sh\n";
  const group = "root:x:0:\nweb:x:1001:\nextra:x:3000:other,web\nother:x:3001:other\n";
  await importImage(
    daemon,
    accounts,
    [
      ...(await busyboxEntries()),
      { name: "etc/passwd", data: passwd },
      { name: "etc/group", data: group },
      { name: "data/", type: "5", mode: 0o777 },
      { name: "data/from-image", data: "kept\n" },
    ],
    { User: "web", Volumes: { "/data": {}, "/made": {} } },
  );
});

after(() => bed.disposeAsync());

const ofAccounts = (security: LinuxContainerSecurityContext = {}): ContainerChange => ({
  image: { image: accounts },
  security,
});

/** A field of /proc/self/status of a container. */
async function processField(pod: TestPod, field: string, change: ContainerChange = {}): Promise<string> {
  const text = await pod.output("cat /proc/self/status", change);
  return new RegExp(`^${field}:\\s*(\\S+)$`, "m").exec(text)?.[1] ?? "";
}

for (const [what, security, ids, groups] of [
  ["the image's user", {}, "uid=1000(web) gid=1001(web)", [1001, 3000]],
  ["a uid with an entry", { run_as_user: { value: 1000 } }, "uid=1000(web) gid=1001(web)", [1001, 3000]],
  ["a uid without one", { run_as_user: { value: 77 } }, "uid=77 gid=0(root)", [0]],
  ["uid and gid", { run_as_user: { value: 77 }, run_as_group: { value: 88 } }, "uid=77 gid=88", [88]],
  ["a name", { run_as_username: "web" }, "uid=1000(web) gid=1001(web)", [1001, 3000]],
  [
    "groups merged with the image's",
    { run_as_username: "web", supplemental_groups: [4000, 5000] },
    "uid=1000(web) gid=1001(web)",
    [1001, 3000, 4000, 5000],
  ],
  [
    "the request's groups alone",
    { run_as_username: "web", supplemental_groups: [4000], supplemental_groups_policy: "Strict" },
    "uid=1000(web) gid=1001(web)",
    [1001, 4000],
  ],
] as const satisfies readonly (readonly [
  string,
  LinuxContainerSecurityContext,
  string,
  readonly number[],
])[]) {
  test(`security: ${what}`, async () => {
    await using pod = await TestPod.run(daemon);
    const { stdout, status } = await pod.finish("id; id -G", ofAccounts(security));
    assert.ok(stdout.startsWith(ids), stdout);
    const seen = stdout.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
    assert.deepEqual(
      [...new Set(seen)].toSorted((a, b) => a - b),
      groups,
    );
    const [, uid, gid] = /^uid=(\d+)\S* gid=(\d+)/.exec(ids) ?? [];
    const shown = status.user?.linux;
    assert.equal(shown?.uid, uid);
    assert.equal(shown?.gid, gid);
    assert.deepEqual(shown?.supplemental_groups.map(Number), groups);
  });
}

test("security: an exec has the user and groups of the container", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.start("exec sleep 1000", ofAccounts({ supplemental_groups: [4000] }));
  const { stdout } = await execSync(daemon, id, "sh", "-c", "id -u; id -G; echo $HOME");
  assert.equal(stdout, "1000\n1001 3000 4000\n/home/web\n");
});

for (const [what, security, message] of [
  ["a group without a user", { run_as_group: { value: 5 } }, /run_as_group/],
  ["a name that the image lacks", { run_as_username: "nobody-here" }, /nobody-here/],
  ["a negative uid", { run_as_user: { value: -1 } }, /run_as_user/],
  ["uid and name", { run_as_user: { value: 1 }, run_as_username: "web" }, /run_as_username/],
  ["an unknown capability", { capabilities: { add_capabilities: ["NO_SUCH"] } }, /NO_SUCH/],
  ["privileged in a pod that is not", { privileged: true }, /privileged/],
  [
    "a seccomp profile that is not there",
    { seccomp: { profile_type: "Localhost", localhost_ref: "/no/such/profile.json" } },
    /\/no\/such\/profile\.json/,
  ],
  [
    "a relative seccomp profile",
    { seccomp: { profile_type: "Localhost", localhost_ref: "profile.json" } },
    /localhost_ref/,
  ],
] as const satisfies readonly (readonly [string, LinuxContainerSecurityContext, RegExp])[]) {
  test(`security: ${what} is refused`, async () => {
    await using pod = await TestPod.run(daemon);
    await assert.rejects(pod.create("true", ofAccounts(security)), { code: 3, message });
  });
}

test("security: capabilities are added, dropped, and bounded to the daemon's", async () => {
  await using pod = await TestPod.run(daemon);
  const effective = async (capabilities: Capability): Promise<bigint> =>
    BigInt(`0x${await processField(pod, "CapEff", { security: { capabilities } })}`);
  const usual = await effective({});
  const netAdmin = 1n << 12n;
  const chown = 1n;
  assert.equal(usual & netAdmin, 0n);
  assert.equal(await effective({ add_capabilities: ["NET_ADMIN"] }), usual | netAdmin);
  assert.equal(
    await effective({ add_capabilities: ["CAP_NET_ADMIN"], drop_capabilities: ["chown"] }),
    (usual | netAdmin) & ~chown,
  );
  assert.equal(await effective({ drop_capabilities: ["ALL"] }), 0n);
  assert.equal(await effective({ drop_capabilities: ["ALL"], add_capabilities: ["CHOWN"] }), chown);
  const status = await world.must("cat", `/proc/${await daemon.pid()}/status`);
  const bounding = BigInt(`0x${/^CapBnd:\s*(\S+)/m.exec(status)?.[1] ?? ""}`);
  assert.equal(await effective({ add_capabilities: ["ALL"] }), bounding);
});

test("security: a user that is not root has no effective capability, and those bounding that are given", async () => {
  await using pod = await TestPod.run(daemon);
  const security = { run_as_user: { value: 1000 }, capabilities: { add_capabilities: ["NET_ADMIN"] } };
  assert.equal(BigInt(`0x${await processField(pod, "CapEff", { security })}`), 0n);
  assert.notEqual(BigInt(`0x${await processField(pod, "CapBnd", { security })}`) & (1n << 12n), 0n);
});

test("security: a privileged container may mount and sees the node's devices", async () => {
  const security_context = { privileged: true, namespace_options: { pid: "CONTAINER" } } as const;
  await using pod = await TestPod.run(daemon, { linux: { security_context } });
  const mounted = await pod.output("mkdir /m; mount -t tmpfs none /m; touch /m/file; ls /m", {
    security: { privileged: true },
  });
  assert.equal(mounted, "file\n");
  const unprivileged = await pod.finish("mkdir /m; mount -t tmpfs none /m");
  assert.notEqual(unprivileged.status.exit_code, 0);
  const there = await world.must(
    "sh",
    "-c",
    "find /dev -maxdepth 1 -type c -printf '%f\\n' | grep -v console",
  );
  const seen = await pod.output("ls /dev", { security: { privileged: true } });
  for (const name of there.trim().split("\n")) assert.ok(seen.split("\n").includes(name), name);
});

test("security: a setuid program works, and does not with no_new_privs", async () => {
  const tools = join(world.folder, "tools");
  await mkdir(tools, { recursive: true });
  await copyFile("/usr/bin/id", join(tools, "setuid-id"));
  await chmod(join(tools, "setuid-id"), 0o4755);
  const image = "berth.test/id:latest";
  await daemon.admin.ImageFromHost({ reference: image, binaries: ["/bin/busybox", "/usr/bin/id"] });
  await using pod = await TestPod.run(daemon);
  const run = (no_new_privs: boolean): Promise<string> =>
    pod.output("/tools/setuid-id -u", {
      image: { image },
      mounts: [{ container_path: "/tools", host_path: tools, readonly: true }],
      security: { run_as_user: { value: 1000 }, no_new_privs },
    });
  assert.equal(await run(false), "0\n");
  assert.equal(await run(true), "1000\n");
  assert.equal(await processField(pod, "NoNewPrivs", { security: { no_new_privs: true } }), "1");
});

test("security: a read-only root is read-only, its image's volumes are not", async () => {
  await using pod = await TestPod.run(daemon);
  const script =
    "touch /x && echo root; for d in /data /made; do touch $d/x && echo $d; done; cat /data/from-image; touch /etc/hosts && echo hosts";
  const { stdout } = await pod.finish(
    script,
    ofAccounts({ readonly_rootfs: true, run_as_user: { value: 0 } }),
  );
  assert.equal(stdout, "/data\n/made\nkept\n");
});

test("security: masked paths are empty, read-only paths cannot be written", async () => {
  await using pod = await TestPod.run(daemon);
  const security = { masked_paths: ["/proc/uptime", "/sys/kernel"], readonly_paths: ["/proc/sys", "/tmp"] };
  const { stdout } = await pod.finish(
    "cat /proc/uptime | wc -c; ls /sys/kernel | wc -l; touch /tmp/x || echo refused; echo 1 >/proc/sys/net/ipv4/ip_forward || echo refused",
    { security },
  );
  assert.equal(stdout, "0\n0\nrefused\nrefused\n");
});

test("security: what nobody names is masked as the kubelet would", async () => {
  await using pod = await TestPod.run(daemon);
  const { stdout } = await pod.finish(
    "wc -c </proc/timer_list; (echo c >/proc/sysrq-trigger) 2>/dev/null || echo refused; ls /proc/acpi /proc/scsi 2>/dev/null | grep -v : | grep . | wc -l",
  );
  assert.equal(stdout, "0\nrefused\n0\n");
});

test("security: seccomp: none, the default, and a file's", async () => {
  await using pod = await TestPod.run(daemon);
  const localhost_ref = await world.file(
    "deny-mkdir.json",
    JSON.stringify({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95 }],
    }),
  );
  const mode = (profile_type: "RuntimeDefault" | "Unconfined"): Promise<string> =>
    processField(pod, "Seccomp", { security: { seccomp: { profile_type } } });
  assert.equal(await mode("Unconfined"), "0");
  assert.equal(await mode("RuntimeDefault"), "2");
  assert.equal(await processField(pod, "Seccomp"), "0");
  const security = { seccomp: { profile_type: "Localhost", localhost_ref } } as const;
  const { stderr, stdout } = await pod.finish("mkdir /x; echo still here", { security });
  assert.match(stderr, /not supported/);
  assert.equal(stdout, "still here\n");
});

test("security: the default seccomp profile refuses what a capability would allow", async () => {
  await using pod = await TestPod.run(daemon);
  const capabilities = { add_capabilities: ["SYS_ADMIN"] };
  const unshare = "unshare -m true && echo yes || echo no";
  assert.equal(await pod.output(unshare, { security: { capabilities } }), "yes\n");
  const { seccomp } = { seccomp: { profile_type: "RuntimeDefault" } } as const;
  // The profile follows the capabilities of the container, as other runtimes have it.
  assert.equal(await pod.output(unshare, { security: { capabilities, seccomp } }), "yes\n");
  assert.equal(await pod.output(unshare, { security: { seccomp } }), "no\n");
  const id = await pod.start("exec sleep 1000", { security: { seccomp } });
  assert.match((await execSync(daemon, id, "cat", "/proc/self/status")).stdout, /^Seccomp:\t2$/m);
});

test("security: a device is there with its permissions, others cannot be opened", async () => {
  await using pod = await TestPod.run(daemon);
  const open = "cat </tmp/kmsg >/dev/null && echo opened || echo refused";
  assert.equal(await pod.output(`mknod /tmp/kmsg c 1 2; ${open}`), "refused\n");
  const devices = [{ host_path: "/dev/full", container_path: "/dev/my/full", permissions: "r" }];
  const script = "[ -c /dev/my/full ] && stat -c '%t %T' /dev/my/full; head -c 3 /dev/my/full | wc -c";
  assert.equal(await pod.output(script, { devices }), "1 7\n3\n");
  assert.equal(
    await pod.output(
      "for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done; echo x >/dev/null",
    ),
    "",
  );
});

test("security: a device that the node lacks is refused", async () => {
  await using pod = await TestPod.run(daemon);
  const devices = [{ host_path: "/dev/no-such-device", container_path: "/dev/x", permissions: "rwm" }];
  await assert.rejects(pod.create("true", { devices }), { code: 3, message: /\/dev\/no-such-device/ });
  assert.equal((await statusOf(daemon, await pod.create("true"))).state, "CONTAINER_CREATED");
});
