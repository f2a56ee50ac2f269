import "./isolated.ts";
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { SpecNamespace } from "../../src/core/oci-runtime-spec.ts";
import { type SpecChange, TestHost, makeRootfs, plainMounts, untilLogged, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

/** What a script prints in a container. */
async function output(script: string, change: SpecChange = {}): Promise<string> {
  const { record, lines } = await host.sh(script, change);
  const text = lines.map((line) => line.replace(/^std(out|err) [FP] /, "")).join("\n");
  assert.equal(record.exitCode, 0, text || record.message);
  return text;
}

const kinds: readonly SpecNamespace["type"][] = ["pid", "network", "mount", "ipc", "uts", "cgroup"];
const without = (...left: SpecNamespace["type"][]): { readonly namespaces: SpecNamespace[] } => ({
  namespaces: kinds.filter((type) => !left.includes(type)).map((type) => ({ type })),
});

test("namespaces: six of its own, or the host's where the spec names none", async () => {
  const names = ["pid", "net", "mnt", "ipc", "uts", "cgroup"];
  const read = `for n in ${names.join(" ")}; do readlink /proc/self/ns/$n; done`;
  const own = (await output(read)).split("\n");
  const ours = names.map((name) => readlinkSync(`/proc/self/ns/${name}`));
  own.forEach((link, index) => {
    assert.notEqual(link, ours[index], String(names[index]));
  });
  const shared = (await output(read, { linux: without("pid", "network", "ipc", "uts", "cgroup") })).split(
    "\n",
  );
  assert.deepEqual(
    [shared[0], shared[1], shared[3], shared[4], shared[5]],
    [ours[0], ours[1], ours[3], ours[4], ours[5]],
  );
});

test("namespaces: joined by path, the pid namespace too, with init still the shim's child", async () => {
  const first = await host.create(["sleep", "100"], { spec: { hostname: "first" } });
  await first.shim.start(wait);
  const path = (name: string): string => `/proc/${first.created.pid}/ns/${name}`;
  const seen = await output("hostname; ps | grep -c '[s]leep 100'; cat /proc/sys/kernel/hostname", {
    linux: {
      namespaces: [
        { type: "mount" },
        { type: "pid", path: path("pid") },
        { type: "uts", path: path("uts") },
        { type: "network", path: path("net") },
        { type: "ipc", path: path("ipc") },
      ],
    },
  });
  assert.equal(seen, "first\n1\nfirst");
  await first.shim.delete(wait);
});

test("namespaces: a user namespace, with maps of several lines; exec enters it", async () => {
  const mappings = [
    { containerID: 0, hostID: 100000, size: 1000 },
    { containerID: 1000, hostID: 300000, size: 64536 },
  ];
  const container = await host.create(
    [
      "sh",
      "-c",
      "id -u; cat /proc/self/uid_map; touch /dev/shm/x && ls -n /dev/shm/x | cut -c1-20; sleep 100",
    ],
    {
      linux: {
        namespaces: [...kinds, "user" as const].map((type) => ({ type })),
        uidMappings: mappings,
        gidMappings: mappings,
      },
    },
  );
  await container.shim.start(wait);
  const status = readFileSync(`/proc/${container.created.pid}/status`, "utf8");
  assert.match(status, /^Uid:\t100000\t/m);
  let seen = "";
  const session = await container.shim.exec(
    {
      process: {
        args: ["sh", "-c", "id -u; cat /proc/self/gid_map"],
        cwd: "/",
        env: ["PATH=/bin"],
        user: { uid: 1000, gid: 1000 },
      },
      stdin: "closed",
      timeoutMs: 0,
      drainMs: 1000,
    },
    { onStdout: (bytes) => void (seen += bytes.toString()) },
    wait,
  );
  assert.equal((await session.exit).exitCode, 0);
  assert.match(seen, /^1000\n\s+0\s+100000\s+1000\n\s+1000\s+300000\s+64536\n$/);
  const lines = await untilLogged(container, /-rw-r--r-- +1 0/);
  assert.match(lines[0] ?? "", /stdout F 0$/);
  await container.shim.delete(wait);
});

test("namespaces: a time namespace with its offsets; exec enters it", async () => {
  const container = await host.create(["sh", "-c", "cut -d. -f1 /proc/uptime; sleep 100"], {
    linux: {
      namespaces: [...kinds, "time" as const].map((type) => ({ type })),
      timeOffsets: { boottime: { secs: 10_000_000, nanosecs: 5 } },
    },
  });
  await container.shim.start(wait);
  assert.ok(Number(await host.exec(container, "cut -d. -f1 /proc/uptime")) > 10_000_000);
  const [line = ""] = await untilLogged(container, /\d/);
  assert.ok(Number(line.slice("stdout F ".length)) > 10_000_000);
  await container.shim.delete(wait);
});

test("attributes: scheduler, I/O priority, personality, affinity, oom_score_adj", async () => {
  const container = await host.create(["sleep", "100"], {
    process: {
      scheduler: { policy: "SCHED_BATCH", nice: 5 },
      ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 0 },
      execCPUAffinity: { initial: "0", final: "0" },
      oomScoreAdj: 321,
    },
    linux: { personality: { domain: "LINUX32" } },
  });
  await container.shim.start(wait);
  const read = (file: string): string => readFileSync(`/proc/${container.created.pid}/${file}`, "utf8");
  const stat = read("stat").split(") ")[1]?.split(" ") ?? [];
  assert.equal(stat[16], "5", "nice");
  assert.equal(stat[38], "3", "policy");
  assert.equal(read("oom_score_adj"), "321\n");
  assert.equal(read("personality"), "00000008\n");
  assert.match(read("status"), /^Cpus_allowed_list:\t0$/m);
  await container.shim.delete(wait);
});

test("hostname and sysctls are the container's own", async () => {
  const change = {
    spec: { hostname: "box" },
    linux: { sysctl: { "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1" } },
  };
  assert.equal(
    await output("hostname; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced", change),
    "box\n1\n1",
  );
  assert.equal(readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"), "0\n");
});

test("CVE-2022-0532: a sysctl of a namespace that is the host's is refused", async () => {
  await host.createFails(
    ["true"],
    { linux: { ...without("network"), sysctl: { "net.ipv4.ip_forward": "1" } } },
    {
      message: /net.ipv4.ip_forward is of the network namespace, which is not the container's own/,
    },
  );
});

test("capabilities: exactly those of the spec; CVE-2022-29162: inheritable and ambient empty unless asked", async () => {
  const show = "grep Cap /proc/self/status";
  const sets = {
    bounding: ["CAP_CHOWN", "CAP_KILL"],
    effective: ["CAP_CHOWN"],
    permitted: ["CAP_CHOWN", "CAP_KILL"],
  };
  assert.deepEqual(
    (await output(show, { process: { capabilities: sets, noNewPrivileges: false } }))
      .split("\n")
      .map((line) => line.split("\t")[1]),
    ["0000000000000000", "0000000000000021", "0000000000000021", "0000000000000021", "0000000000000000"],
  );
  const ambient = {
    bounding: ["CAP_NET_RAW"],
    permitted: ["CAP_NET_RAW"],
    effective: ["CAP_NET_RAW"],
    inheritable: ["CAP_NET_RAW"],
    ambient: ["CAP_NET_RAW"],
  };
  const asUser = { user: { uid: 1000, gid: 1000 }, capabilities: ambient };
  assert.deepEqual(
    (await output(show, { process: asUser })).split("\n").map((line) => line.split("\t")[1]),
    Array.from({ length: 5 }, () => "0000000000002000"),
  );
});

test("capabilities: what this host lacks is left out with a warning", async () => {
  const container = await host.create(["true"], {
    process: { capabilities: { bounding: ["CAP_SYS_RESOURCE", "CAP_CHOWN"] } },
  });
  const [, hex = "0"] = /CapPrm:\t([0-9a-f]+)/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  const held = BigInt(`0x${hex}`);
  const expected = (held >> 24n) & 1n ? [] : ["CAP_SYS_RESOURCE"];
  assert.equal(
    container.created.warnings.filter((text) => text.includes("CAP_SYS_RESOURCE")).length,
    expected.length,
  );
  await container.shim.delete(wait);
});

test(
  "no_new_privs: a setuid binary works without it and does not with it",
  { skip: process.arch !== "x64" },
  async () => {
    const path = join(host.rootfs, "bin/exit-euid");
    writeFileSync(path, exitWithEuid());
    chmodSync(path, 0o4755);
    const user = { uid: 100, gid: 100 };
    const kept = await host.run(["exit-euid"], { process: { user, noNewPrivileges: true } });
    assert.equal(kept.record.exitCode, 100);
    const raised = await host.run(["exit-euid"], { process: { user, noNewPrivileges: false } });
    assert.equal(raised.record.exitCode, 0);
  },
);

/** A static x86-64 program that ends with its effective user id as status: busybox gives such rights up by itself. */
function exitWithEuid(): Buffer {
  const code = Buffer.from("b86b0000000f0589c7b83c0000000f05", "hex");
  const elf = Buffer.alloc(120 + code.length);
  elf.write("\x7fELF\x02\x01\x01", 0, "latin1");
  elf.writeUInt16LE(2, 16);
  elf.writeUInt16LE(62, 18);
  elf.writeUInt32LE(1, 20);
  elf.writeBigUInt64LE(0x400078n, 24);
  elf.writeBigUInt64LE(64n, 32);
  elf.writeUInt16LE(64, 52);
  elf.writeUInt16LE(56, 54);
  elf.writeUInt16LE(1, 56);
  elf.writeUInt32LE(1, 64);
  elf.writeUInt32LE(5, 68);
  elf.writeBigUInt64LE(0x400000n, 80);
  elf.writeBigUInt64LE(0x400000n, 88);
  elf.writeBigUInt64LE(BigInt(elf.length), 96);
  elf.writeBigUInt64LE(BigInt(elf.length), 104);
  elf.writeBigUInt64LE(0x1000n, 112);
  code.copy(elf, 120);
  return elf;
}

test("rlimits: all sixteen are set, the spec's among them", async () => {
  const limits = await output("cat /proc/self/limits");
  assert.match(limits, /Max open files\s+1024\s+\d+/);
  assert.match(limits, /Max core file size\s+0\s+/);
  const asked = await output("cat /proc/self/limits", {
    process: {
      rlimits: [
        { type: "RLIMIT_NOFILE", soft: 77, hard: 88 },
        { type: "RLIMIT_CORE", soft: 5, hard: 6 },
      ],
    },
  });
  assert.match(asked, /Max open files\s+77\s+88/);
  assert.match(asked, /Max core file size\s+5\s+6/);
});

test("CVE-2023-25173: groups are exactly those given; user and umask as asked", async () => {
  const process = { user: { uid: 1001, gid: 1002, additionalGids: [7, 8], umask: 0o077 } };
  assert.equal(
    await output("id -u; id -g; grep Groups /proc/self/status; umask", { process }),
    "1001\n1002\nGroups:\t7 8 \n0077",
  );
  assert.equal(await output("grep Groups /proc/self/status; umask"), "Groups:\t \n0022");
});

test("masked paths hide, read-only paths hold, the rest of /proc is there", async () => {
  const seen = await output(
    "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; (echo x > /proc/sys/kernel/hostname) 2>/dev/null; echo $?; cat /proc/uptime | wc -l",
  );
  assert.equal(seen, "0\n0\n1\n1");
});

test("CVE-2025-31133: /dev/null of the image is no mask", async () => {
  const rootfs = join(host.folder, "evil-null");
  makeRootfs(rootfs);
  symlinkSync("/proc/sysrq-trigger", join(rootfs, "dev/null"));
  const { record } = await host.sh("cat /etc/passwd | wc -c", {
    linux: { maskedPaths: ["/etc/passwd"] },
    request: { rootfs: { kind: "directory", path: rootfs } },
  });
  assert.equal(record.exitCode, 0);
});

test("CVE-2024-21626: a working folder below /proc/self/fd is refused", async () => {
  for (const cwd of ["/proc/self/fd/7", "/proc/self/fd/8", "/proc/self/fd/10", "/proc/self/cwd"]) {
    await host.createFails(["true"], { process: { cwd } }, { message: /proc\/self/ });
  }
});

test("CVE-2016-9962: no descriptor but 0, 1 and 2 reaches the command", async () => {
  // 3 is the shell's own view of the folder.
  assert.equal(await output("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");
});

for (const [what, link] of [
  ["a folder", "tmp"],
  ["nowhere", "/nowhere"],
  ["outside", "../../../../../../tmp"],
] as const) {
  test(`CVE-2019-19921: an image whose /proc is a symlink to ${what} is refused`, async () => {
    const rootfs = join(host.folder, `symlinked-${what.replace(" ", "-")}`);
    makeRootfs(rootfs, ["proc"]);
    symlinkSync(link, join(rootfs, "proc"));
    await host.createFails(
      ["true"],
      { request: { rootfs: { kind: "directory", path: rootfs } } },
      {
        message: /mount \/proc: it is a symlink to/,
      },
    );
  });
}

test("CVE-2019-16884: a volume over /proc, or below it, is refused", async () => {
  const source = join(host.folder, "fake-proc");
  mkdirSync(source, { recursive: true });
  for (const destination of ["/proc", "/proc/self", "/proc/sys/kernel"]) {
    const mounts = [{ destination, type: "bind", source, options: ["rbind"] }];
    await host.createFails(["true"], { mounts }, { message: /only procfs may be mounted at \/proc/ });
  }
});

test("CVE-2019-5736: what enters a container runs from a sealed copy that nobody can open for writing", async () => {
  const container = await host.create(["sleep", "100"]);
  const exe = readlinkSync(`/proc/${container.created.pid}/exe`);
  assert.match(exe, /^\/memfd:berth-shim/);
  assert.throws(() => {
    writeFileSync(`/proc/${container.created.pid}/exe`, "x");
  }, /ETXTBSY|EPERM/);
  await container.shim.delete(wait);
});

test("seccomp: the filter holds from execve on, with no_new_privs and without", async () => {
  const path = join(host.folder, "filter.bpf");
  writeFileSync(path, denying(process.arch === "x64" ? [83, 258] : [34], 1));
  for (const noNewPrivileges of [true, false]) {
    const { record, lines } = await host.sh("mkdir /tmp/x; grep -w Seccomp /proc/self/status", {
      process: { noNewPrivileges },
      request: { seccompFilter: { path, flags: [] } },
    });
    assert.equal(record.exitCode, 0, record.message);
    assert.match(lines.join("\n"), /mkdir: can't create directory '\/tmp\/x': Operation not permitted/);
    assert.match(lines.join("\n"), /Seccomp:\t2/);
  }
});

test("seccomp: a filter that is no array of instructions is refused", async () => {
  const path = join(host.folder, "bad.bpf");
  writeFileSync(path, "abc");
  await host.createFails(
    ["true"],
    { request: { seccompFilter: { path, flags: [] } } },
    { message: /3 bytes are no array/ },
  );
});

/** `struct sock_filter[]`: the given system calls fail with `errno`, all others pass. */
function denying(calls: readonly number[], errno: number): Buffer {
  const code: [number, number, number, number][] = [[0x20, 0, 0, 0]];
  calls.forEach((call, index) => code.push([0x15, calls.length - index, 0, call]));
  code.push([0x06, 0, 0, 0x7fff0000], [0x06, 0, 0, 0x00050000 | errno]);
  return Buffer.concat(
    code.map(([op, yes, no, k]) => {
      const instruction = Buffer.alloc(8);
      instruction.writeUInt16LE(op, 0);
      instruction.writeUInt8(yes, 2);
      instruction.writeUInt8(no, 3);
      instruction.writeUInt32LE(k, 4);
      return instruction;
    }),
  );
}

test("devices: the default nodes, links, and what the spec adds", async () => {
  const seen = await output(
    "ls -l /dev/null /dev/mine /dev/fd /dev/ptmx | awk '{print $1, $NF}'; echo x > /dev/null; head -c 3 /dev/zero | wc -c",
    {
      linux: {
        devices: [{ type: "c", path: "/dev/mine", major: 1, minor: 5, fileMode: 0o640, uid: 5, gid: 6 }],
      },
    },
  );
  assert.equal(
    seen,
    "lrwxrwxrwx /proc/self/fd\ncrw-r----- /dev/mine\ncrw-rw-rw- /dev/null\nlrwxrwxrwx pts/ptmx\n3",
  );
});

test("read-only root: nothing can be written but volumes; the working folder was made before", async () => {
  const seen = await output("pwd; touch /x 2>&1; touch /data/y && echo ok; touch /tmp/z 2>&1", {
    root: { readonly: true },
    process: { cwd: "/made/here" },
    request: { imageVolumes: ["/data"] },
    mounts: [],
  }).catch((thrown: unknown) => String(thrown));
  assert.match(seen, /\/made\/here/);
  assert.match(seen, /touch: \/x: Read-only file system/);
  assert.match(seen, /ok/);
});

test("plain mounts are what the container sees, and nothing of the host", async () => {
  const places = (await output("cut -d' ' -f5 /proc/self/mountinfo | sort")).split("\n");
  for (const { destination } of plainMounts) assert.ok(places.includes(destination), destination);
  assert.equal(places.filter((place) => place === "/").length, 1);
});
