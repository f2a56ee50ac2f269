import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Spec } from "../../src/core/oci-runtime-spec.ts";
import { berthOci, OciHost, run } from "./runtime.ts";

let host: OciHost;
before(() => {
  host = new OciHost();
});
after(() => {
  host[Symbol.dispose]();
});

function withProcess(change: Partial<NonNullable<Spec["process"]>>): (spec: Spec) => Spec {
  return (spec) => (spec.process === undefined ? spec : { ...spec, process: { ...spec.process, ...change } });
}

/** Detached, with standard output elsewhere: it would hold a pipe of this process open. */
function runDetached(id: string, bundle: string, ...options: readonly string[]): void {
  const state = join(host.folder, "state");
  const ended = spawnSync(berthOci, ["--root", state, "run", "-d", "-b", bundle, ...options, id], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  assert.equal(ended.status, 0);
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 20_000; !condition();) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("run: output, exit status, signal; nothing is left", () => {
  const cases: readonly (readonly [string, readonly string[], number, string])[] = [
    ["output", ["sh", "-c", "echo out; echo $HOME"], 0, "out\n/root\n"],
    ["status", ["sh", "-c", "exit 7"], 7, ""],
    ["signal", ["sh", "-c", "kill -9 $$"], 137, ""],
  ];
  for (const [name, args, status, out] of cases) {
    const ended = host.oci("run", "-b", host.bundle(args), "r1");
    // PID 1 of a namespace gets no SIGKILL from within.
    assert.deepEqual(
      [ended.status, ended.out],
      [name === "signal" ? 0 : status, out],
      `${name}: ${ended.err}`,
    );
    assert.equal(host.oci("state", "r1").status, 1, name);
  }
  assert.deepEqual(
    readdirSync("/sys/fs/cgroup").filter((name) => existsSync(join("/sys/fs/cgroup", name, host.cgroup))),
    [],
  );
});

test("create, start, exec, pause, update, ps, events, kill, delete", async () => {
  const bundle = host.bundle(["sleep", "1000"]);
  const pidFile = join(bundle, "pid");
  const state = join(host.folder, "state");
  const created = spawnSync(
    berthOci,
    ["--root", state, "create", "-b", bundle, "--pid-file", pidFile, "c1"],
    { stdio: ["ignore", "ignore", "ignore"] },
  );
  assert.equal(created.status, 0);
  assert.equal(host.state("c1").status, "created");
  assert.equal(host.state("c1").pid, Number(readFileSync(pidFile, "utf8")));
  assert.match(host.oci("create", "-b", bundle, "c1").err, /container with given ID already exists: c1/);
  assert.equal(host.oci("start", "c1").status, 0);
  assert.equal(host.state("c1").status, "running");
  assert.match(host.oci("start", "c1").err, /cannot start container c1: it is running/);

  const added = host.oci(
    "exec",
    "--env",
    "A=b",
    "--cwd",
    "/tmp",
    "--user",
    "1000:5",
    "c1",
    "sh",
    "-c",
    "id -u; id -g; pwd; echo $A; exit 3",
  );
  assert.deepEqual([added.status, added.out], [3, "1000\n5\n/tmp\nb\n"]);
  const missing = host.oci("exec", "c1", "nope");
  assert.deepEqual([missing.status, /executable file not found in \$PATH/.test(missing.err)], [255, true]);

  assert.equal(host.oci("pause", "c1").status, 0);
  assert.equal(host.state("c1").status, "paused");
  assert.match(host.oci("exec", "c1", "true").err, /cannot exec in a paused container/);
  assert.equal(host.oci("resume", "c1").status, 0);
  assert.equal(host.state("c1").status, "running");

  assert.equal(host.oci("update", "--pids-limit", "77", "c1").status, 0);
  const stats = JSON.parse(host.oci("events", "--stats", "c1").out) as { data: { pids: { limit: number } } };
  assert.equal(stats.data.pids.limit, 77);
  assert.deepEqual(JSON.parse(host.oci("ps", "-f", "json", "c1").out), [host.state("c1").pid]);
  assert.match(host.oci("list").out, /^c1 +\d+ +running +/m);

  assert.match(host.oci("delete", "c1").err, /cannot delete container c1 that is not stopped: running/);
  assert.equal(host.oci("kill", "c1", "KILL").status, 0);
  await until(() => host.state("c1").status === "stopped", "killed");
  assert.match(host.oci("kill", "c1", "KILL").err, /container not running/);
  assert.equal(host.oci("delete", "c1").status, 0);
  assert.match(host.oci("state", "c1").err, /container does not exist: c1/);
});

test("run: what is refused says why, and leaves nothing", () => {
  const cases: readonly (readonly [string, readonly string[], (spec: Spec) => Spec, RegExp])[] = [
    ["a missing command", [], withProcess({ args: ["nope"] }), /executable file not found in \$PATH/],
    [
      "a namespace that is none",
      [],
      (spec) => ({
        ...spec,
        linux: { ...spec.linux, namespaces: [{ type: "mount" }, { type: "network", path: "/etc/passwd" }] },
      }),
      /network namespace: \/etc\/passwd is no namespace/,
    ],
    [
      "systemd's cgroups",
      [],
      (spec) => ({ ...spec, linux: { ...spec.linux, cgroupsPath: "a.slice:b:c" } }),
      /only the cgroupfs driver is supported/,
    ],
    ["no pivot", ["--no-pivot"], (spec) => spec, /--no-pivot: not supported/],
    [
      "a bad id of a user",
      [],
      withProcess({ user: { uid: 2 ** 31, gid: 0 } }),
      /process\.user\.uid: must be between 0 and/,
    ],
  ];
  for (const [name, options, change, message] of cases) {
    const ended = host.oci("run", ...options, "-b", host.bundle(["true"], change), "bad");
    assert.deepEqual([ended.status, message.test(ended.err)], [1, true], `${name}: ${ended.err}`);
    assert.equal(existsSync(join(host.folder, "state/bad")), false, name);
  }
  assert.match(host.oci("--systemd-cgroup", "run", "x").err, /only the cgroupfs driver/);
  assert.match(host.oci("checkpoint", "x").err, /not supported/);
  assert.match(host.oci("state", "../x").err, /invalid container id format/);
});

test("hooks: all six kinds in their order, with the state on their input", () => {
  const trace = join(host.folder, "trace");
  const hook = (kind: string): object => ({
    path: "/bin/sh",
    args: [
      "sh",
      "-c",
      `read -r state; echo "${kind} $state" >> ${kind === "startContainer" ? "/tmp/trace" : trace}`,
    ],
  });
  const kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
  const bundle = host.bundle(["true"], (spec) => ({
    ...spec,
    root: { path: "rootfs" },
    hooks: Object.fromEntries(kinds.map((kind) => [kind, [hook(kind)]])),
  }));
  const ended = host.oci("run", "-b", bundle, "h1");
  assert.equal(ended.status, 0, ended.err);
  const seen = readFileSync(trace, "utf8").trimEnd().split("\n");
  const inside = readFileSync(join(bundle, "rootfs/tmp/trace"), "utf8").trimEnd();
  const found = [...seen.slice(0, 3), inside, ...seen.slice(3)].map((line) => {
    const [kind = "", ...rest] = line.split(" ");
    const { id, status } = JSON.parse(rest.join(" ")) as { id: string; status: string };
    return [kind, id, status];
  });
  assert.deepEqual(found, [
    ["prestart", "h1", "creating"],
    ["createRuntime", "h1", "creating"],
    ["createContainer", "h1", "creating"],
    ["startContainer", "h1", "created"],
    ["poststart", "h1", "running"],
    ["poststop", "h1", "stopped"],
  ]);
});

test("seccomp: compiled here, for the container and for what is added to it", async () => {
  const bundle = host.bundle(["sleep", "1000"], (spec) => ({
    ...spec,
    root: { path: "rootfs" },
    linux: {
      ...spec.linux,
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        syscalls: [{ names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 95 }],
      },
    },
  }));
  runDetached("s1", bundle);
  writeFileSync(
    join(bundle, "rootfs/try"),
    "#!/bin/sh\nmkdir /tmp/x 2>&1; grep Seccomp: /proc/self/status\n",
    { mode: 0o755 },
  );
  for (const applet of ["mkdir", "grep"]) run("ln", ["-s", "busybox", join(bundle, "rootfs/bin", applet)]);
  assert.match(host.oci("exec", "s1", "/try").out, /not supported\nSeccomp:\t2\n$/);
  host.oci("delete", "-f", "s1");
  await until(() => host.oci("state", "s1").status === 1, "gone");
});

test("preserve-fds: the command gets these descriptors and no others", () => {
  const bundle = host.bundle(["sh", "-c", "cat <&3; ls /proc/self/fd"]);
  const state = join(host.folder, "state");
  const script = `exec 3</etc/hostname 4</etc/hostname; exec ${berthOci} --root ${state} run --preserve-fds 1 -b ${bundle} p1`;
  const ended = run("sh", ["-c", script]);
  // 4 is what ls has open itself.
  assert.equal(ended.out, `${readFileSync("/etc/hostname", "utf8")}0\n1\n2\n3\n4\n`, ended.err);
});

test("cve-2019-5736, cve-2024-21626: no way to the host's programs or folders", () => {
  const cwd = host.bundle(["ls"], withProcess({ cwd: "/proc/self/fd/7/" }));
  const through = host.oci("run", "-b", cwd, "v1");
  assert.equal(through.status, 1);
  assert.match(through.err, /chdir|procfs|no such file/);
  const exe = host.bundle(["/proc/self/exe", "-v"]);
  const again = host.oci("run", "-b", exe, "v2");
  // What that names is the sealed copy of the interpreter, whose libraries this root lacks.
  assert.notEqual(again.status, 0, again.out);
});

test("log: errors as JSON where the caller reads them", () => {
  const path = join(host.folder, "log.json");
  host.oci("--log", path, "--log-format", "json", "state", "nobody");
  const line = JSON.parse(readFileSync(path, "utf8")) as { level: string; msg: string; time: string };
  assert.deepEqual([line.level, line.msg], ["error", "container does not exist: nobody"]);
  assert.ok(!Number.isNaN(Date.parse(line.time)));
});

test("features: a document that names what there is", () => {
  const features = JSON.parse(host.oci("features").out) as {
    hooks: string[];
    linux: { namespaces: string[] };
  };
  assert.ok(features.hooks.includes("createRuntime"));
  assert.ok(features.linux.namespaces.includes("time"));
});
