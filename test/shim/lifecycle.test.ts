import "./isolated.ts";
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync, chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readExitRecord } from "../../src/shim/client/index.ts";
import type { Spec } from "../../src/core/oci-runtime-spec.ts";
import { type SpecChange, TestHost, wait } from "./host.ts";
import { cgroupsLeft, isAlive, until } from "./evidence.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

test("lifecycle: exit status, times, and the record on disk before the event", async () => {
  const container = await host.create(["/bin/sh", "-c", "exit 7"]);
  assert.equal((await container.shim.state(wait)).status, "created");
  const startedAt = await container.shim.start(wait);
  const record = await container.exit;
  assert.deepEqual(await readExitRecord(container.recordPath), record);
  assert.equal(record.exitCode, 7);
  assert.equal(record.signal, 0);
  assert.equal(record.oomKilled, false);
  assert.equal(BigInt(record.startedAt), startedAt);
  assert.ok(BigInt(record.finishedAt) >= startedAt);
});

test("lifecycle: a signal is 128 + its number", async () => {
  const container = await host.create(["sleep", "100"]);
  await container.shim.start(wait);
  await container.shim.kill(9, "init", wait);
  const record = await container.exit;
  assert.equal(record.exitCode, 137);
  assert.equal(record.signal, 9);
});

for (const [name, number] of [
  ["TERM", 15],
  ["SEGV", 11],
  ["ABRT", 6],
  ["RTMIN", 34],
] as const) {
  test(`lifecycle: a container that ends by SIG${name} is told from one that exits with ${128 + number}`, async () => {
    // In the host's PID namespace, where its first process is not PID 1, to which the kernel passes no such signal.
    const namespaces = (["mount", "ipc", "uts", "network", "cgroup"] as const).map((type) => ({ type }));
    const killed = await host.sh(`kill -${number} $$; sleep 1000`, { linux: { namespaces } });
    assert.deepEqual([killed.record.exitCode, killed.record.signal], [128 + number, number]);
    const exited = await host.sh(`exit ${128 + number}`, { linux: { namespaces } });
    assert.deepEqual([exited.record.exitCode, exited.record.signal], [128 + number, 0]);
  });
}

test("lifecycle: a shim that is done leaves no process, socket, cgroup or mount", async () => {
  const container = await host.create(["/bin/true"]);
  await container.shim.start(wait);
  await container.exit;
  await container.shim.closed;
  await until(() => !isAlive(container.created.shimPid), "the shim ends");
  assert.equal(existsSync(join(container.folder, "shim.sock")), false);
  assert.equal(existsSync(join(container.folder, "shim.sock.exec")), false);
  assert.deepEqual(cgroupsLeft(container.id), []);
  assert.equal(readFileSync("/proc/self/mountinfo", "utf8").includes(container.id), false);
});

test("lifecycle: delete of a container that was never started", async () => {
  const container = await host.create(["/bin/true"]);
  await container.shim.delete(wait);
  await until(() => !isAlive(container.created.shimPid), "the shim ends");
  const record = await readExitRecord(container.recordPath);
  assert.equal(record?.startedAt, "0");
  assert.equal(record.exitCode, 137);
  assert.deepEqual(cgroupsLeft(container.id), []);
});

test("lifecycle: start twice, and verbs in the wrong state, are refused by name", async () => {
  const container = await host.create(["sleep", "100"]);
  await assert.rejects(container.shim.resume(wait), {
    code: "failed-precondition",
    message: /resume: container .* is created/,
  });
  await container.shim.start(wait);
  await assert.rejects(container.shim.start(wait), {
    code: "failed-precondition",
    message: /start: container .* is running/,
  });
  await assert.rejects(container.shim.resize(1, 1, wait), { message: /has no terminal/ });
  await container.shim.delete(wait);
});

test("lifecycle: a state that is asked for in the midst of a start is told when that has ended", async () => {
  const slow = { spec: { hooks: { startContainer: [{ path: "/bin/sleep", args: ["sleep", "0.5"] }] } } };
  const container = await host.create(["sleep", "100"], slow);
  // On one connection, so that the shim reads them in this order.
  const [startedAt, state] = await Promise.all([container.shim.start(wait), container.shim.state(wait)]);
  assert.equal(state.status, "running");
  assert.equal(BigInt(state.startedAt), startedAt);
  await container.shim.delete(wait);
  const failing = await host.create(["nope"], slow);
  const [, failed] = await Promise.all([
    failing.shim.start(wait).catch(() => undefined),
    failing.shim.state(wait),
  ]);
  assert.equal(failed.startedAt, "0");
});

for (const [what, args, message, exitCode] of [
  ["a missing command", ["nope"], /exec "nope": .*not found in \$PATH/, 127],
  ["a missing path", ["/bin/nope"], /exec \/bin\/nope: no such file or directory/, 127],
  ["a file that is not executable", ["/etc/passwd"], /exec \/etc\/passwd: permission denied/, 126],
] as const) {
  test(`lifecycle: start of ${what} fails, and is in the record`, async () => {
    const container = await host.create(args);
    await assert.rejects(container.shim.start(wait), { message });
    const record = await container.exit;
    assert.match(record.message, message);
    assert.equal(record.startedAt, "0");
    assert.equal(record.exitCode, exitCode);
  });
}

test("lifecycle: pause stops, resume goes on", async () => {
  const container = await host.create(["/bin/sh", "-c", "while :; do echo x; sleep 0.01; done"]);
  await container.shim.start(wait);
  await until(() => container.logLines().length > 3, "output");
  await container.shim.pause(wait);
  assert.equal((await container.shim.state(wait)).status, "paused");
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = container.logLines().length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(container.logLines().length, before);
  await container.shim.resume(wait);
  await until(() => container.logLines().length > before, "output after resume");
  await container.shim.pause(wait);
  await container.shim.kill(9, "init", wait);
  assert.equal((await container.exit).exitCode, 137);
});

test("lifecycle: what fails before init is ready is undone", async () => {
  const id = await host.createFails(
    ["true"],
    { mounts: [{ destination: "/x", type: "bind", source: "/does/not/exist" }] },
    {
      message: /mount \/x: open_tree \/does\/not\/exist: no such file or directory/,
    },
  );
  assert.deepEqual(cgroupsLeft(id), []);
  assert.equal(existsSync(join(host.folder, id, "exit.json")), false);
  const later = await host.createFails(
    ["true"],
    { mounts: [{ destination: "/y", type: "nosuchfs", source: "x" }] },
    {
      message: /fsopen nosuchfs: no such device/,
    },
  );
  assert.deepEqual(cgroupsLeft(later), []);
});

const refusals: readonly (readonly [string, SpecChange, RegExp])[] = [
  ["an unknown field", { spec: { colour: "red" } as Partial<Spec> }, /config.json: colour: unknown field/],
  [
    "an unknown field further down",
    { process: { user: { uid: 0, gid: 0, nick: "x" } as never } },
    /process.user.nick: unknown field/,
  ],
  ["intelRdt", { linux: { intelRdt: {} } }, /linux.intelRdt: not supported/],
  ["another major version", { spec: { ociVersion: "2.0.0" } }, /ociVersion: 2.0.0: only 1.x is known/],
  [
    "a uid over 2^31-1",
    { process: { user: { uid: 2 ** 31, gid: 0 } } },
    /process.user.uid: must be between 0 and 2147483647/,
  ],
  [
    "an unknown capability",
    { process: { capabilities: { bounding: ["CAP_NOPE"] } } },
    /unknown capability CAP_NOPE/,
  ],
  ["a relative cwd", { process: { cwd: "here" } }, /process.cwd: must be an absolute path, not here/],
  ["no arguments", { process: { args: [] } }, /process.args: must not be empty/],
  [
    "a host sysctl",
    { linux: { sysctl: { "kernel.panic": "1" } } },
    /linux.sysctl: kernel.panic is not of a namespace/,
  ],
  ["a sysctl that leaves its folder", { linux: { sysctl: { "net/../kernel/panic": "1" } } }, /not a name/],
  [
    "seccomp without a filter",
    { linux: { seccomp: { defaultAction: "SCMP_ACT_ALLOW" } } },
    /no compiled filter/,
  ],
  [
    "a namespace that is a file",
    { linux: { namespaces: [{ type: "mount" }, { type: "network", path: "/etc/passwd" }] } },
    /network namespace: \/etc\/passwd is no namespace/,
  ],
  [
    "tmpcopyup",
    { mounts: [{ destination: "/t", type: "proc", options: ["tmpcopyup"] }] },
    /option tmpcopyup: only for a tmpfs/,
  ],
  [
    "a bad option of a file system",
    { mounts: [{ destination: "/t", type: "tmpfs", options: ["sise=1"] }] },
    /sise/,
  ],
  [
    "an AppArmor profile without AppArmor",
    { process: { apparmorProfile: "x" } },
    /has no AppArmor|AppArmor is off|no such profile is loaded/,
  ],
  [
    "a mount label without SELinux",
    { linux: { mountLabel: "x:y:z" } },
    /linux.mountLabel x:y:z: this host has no SELinux/,
  ],
  [
    "a cgroup path with ..",
    { linux: { cgroupsPath: "/a/../../b" } },
    /cgroup path "\/a\/\.\.\/\.\.\/b" is not absolute and plain/,
  ],
];

for (const [what, change, message] of refusals) {
  test(`spec: ${what} is refused by name`, async () => {
    await host.createFails(["true"], change, { message });
  });
}

test("hooks: each at its time, with the state on standard input; a failing one aborts the creation", async () => {
  const seen = join(host.folder, "hooks");
  mkdirSync(seen, { recursive: true });
  const script = join(seen, "hook");
  writeFileSync(script, `#!/bin/sh\nread state; echo "$1 $state" >> ${seen}/out\n[ "$1" != bad ]\n`);
  chmodSync(script, 0o755);
  const hook = (name: string): { path: string; args: string[] } => ({ path: script, args: ["hook", name] });
  const { record, lines } = await host.sh("cat /tmp/started", {
    spec: {
      hooks: {
        prestart: [hook("prestart")],
        createRuntime: [hook("createRuntime")],
        startContainer: [{ path: "/bin/sh", args: ["sh", "-c", "cat > /tmp/started"] }],
        poststart: [hook("poststart")],
        poststop: [hook("poststop")],
      },
    },
  });
  assert.equal(record.exitCode, 0);
  assert.match(lines[0] ?? "", /"status":"created"/);
  await until(() => readFileSync(join(seen, "out"), "utf8").includes("poststop"), "poststop");
  const order = readFileSync(join(seen, "out"), "utf8").trim().split("\n");
  assert.deepEqual(order.map((line) => line.split(" ")[0]).slice(0, 2), ["prestart", "createRuntime"]);
  assert.match(order[0] ?? "", /"status":"creating"/);
  const id = await host.createFails(
    ["true"],
    { spec: { hooks: { createRuntime: [hook("bad")] } } },
    { message: /createRuntime hook .*: exit status 1/ },
  );
  assert.deepEqual(cgroupsLeft(id), []);
});
