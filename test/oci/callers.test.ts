import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { berthOci, type Ended, makeRootfs, run } from "./runtime.ts";

/** The reason to skip where a program is not installed. */
function without(...programs: readonly string[]): { readonly skip?: string } {
  const missing = programs.filter((program) => run("sh", ["-c", `command -v ${program}`]).status !== 0);
  return missing.length === 0 ? {} : { skip: `${missing.join(" and ")}: not installed` };
}

function folderFor(name: string): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), `berth-${name}-`));
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 30_000; !condition();) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What podman and containerd mount is nobody else's to see: tests beside this one compare what is mounted. */
const ownMounts = ["--mount", "--propagation", "private"];

/** podman with everything that it keeps in one folder, this runtime, and mounts of its own until it is disposed of. */
function podmanIn(folder: string): Disposable & { readonly podman: (...args: readonly string[]) => Ended } {
  writeFileSync(
    join(folder, "containers.conf"),
    `[engine]
runtime="berth"
cgroup_manager="cgroupfs"
events_logger="file"
static_dir="${folder}/static"
tmp_dir="${folder}/tmp"
[engine.runtimes]
berth=["${berthOci}"]
`,
  );
  writeFileSync(
    join(folder, "storage.conf"),
    `[storage]\ndriver="vfs"\ngraphroot="${folder}/root"\nrunroot="${folder}/run"\n`,
  );
  const env = [
    `CONTAINERS_CONF=${folder}/containers.conf`,
    `CONTAINERS_STORAGE_CONF=${folder}/storage.conf`,
    `HOME=${folder}`,
  ];
  // What podman and the runtime keep in /run goes with it.
  const hold = "mount -t tmpfs tmpfs /run && exec sleep infinity";
  const holder = spawn("unshare", [...ownMounts, "sh", "-c", hold], { stdio: "ignore" });
  const inside = ["--mount", "--target", String(holder.pid)];
  // Until then the holder is in the mount namespace of this process.
  const own = readlinkSync("/proc/self/ns/mnt");
  const isReady = (): boolean =>
    readlinkSync(`/proc/${holder.pid}/ns/mnt`) !== own &&
    readFileSync(`/proc/${holder.pid}/comm`, "utf8") === "sleep\n";
  while (!isReady()) run("sleep", ["0.01"]);
  return {
    podman: (...args) => run("nsenter", [...inside, "env", ...env, "podman", ...args]),
    [Symbol.dispose]: () => {
      holder.kill("SIGKILL");
    },
  };
}

/** podman leaves its own; where a v1 controller is not mounted those are plain folders. */
function removePodmanCgroups(): void {
  const top = "/sys/fs/cgroup";
  for (const hierarchy of ["", ...readdirSync(top)]) {
    const folder = join(top, hierarchy);
    if (existsSync(join(folder, "cgroup.procs"))) {
      for (const below of ["libpod_parent/conmon", "libpod_parent"]) run("rmdir", [join(folder, below)]);
    } else if (existsSync(join(folder, "libpod_parent"))) {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

test("podman: runs, adds to, pauses, stops and removes containers", without("podman", "conmon"), () => {
  using folder = folderFor("podman");
  using caller = podmanIn(folder.path);
  const { podman } = caller;
  makeRootfs(join(folder.path, "rootfs"));
  run("tar", ["-C", join(folder.path, "rootfs"), "-cf", join(folder.path, "image.tar"), "."]);
  const imported = podman("import", join(folder.path, "image.tar"), "berth-test");
  assert.equal(imported.status, 0, imported.err);

  const once = ["run", "--rm", "--network", "none"];
  const script = "touch /tmp/x && ! touch /x 2>/dev/null && ls /etc/passwd && id -u >/dev/stdout; exit 7";
  const options = ["--user", "1000", "--read-only", "--tmpfs", "/etc:mode=755", "--tmpfs", "/tmp:mode=1777"];
  const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    // One alone: in the foreground podman 4.3 goes on for 20 s after the end, with any runtime.
    ["output and status", [...options, "berth-test", "sh", "-c", script], 7, /^\/etc\/passwd\n1000\n$/],
    ["no such command", ["berth-test", "nope"], 127, /^$/],
    ["a command that is none", ["berth-test", "/etc"], 126, /^$/],
  ];
  try {
    for (const [name, args, status, out] of cases) {
      const ended = podman(...once, ...args);
      assert.deepEqual(
        [ended.status, out.test(ended.out)],
        [status, true],
        `${name}: ${ended.out}${ended.err}`,
      );
    }
    const detached = podman("run", "-d", "--network", "none", "--name", "c1", "berth-test", "sleep", "1000");
    assert.equal(detached.status, 0, detached.err);
    assert.equal(podman("exec", "c1", "sh", "-c", "exit 3").status, 3);
    assert.equal(podman("pause", "c1").status, 0);
    assert.match(podman("ps", "-a", "--format", "{{.Status}}").out, /[Pp]aused/);
    assert.equal(podman("unpause", "c1").status, 0);
    assert.match(podman("inspect", "c1", "--format", "{{.OCIRuntime}}").out, /^berth$/m);
    assert.equal(podman("kill", "c1").status, 0);
  } finally {
    podman("rm", "-f", "c1");
    removePodmanCgroups();
  }
});

/** A containerd of the test's own, up to its end. */
async function startContainerd(folder: string): Promise<ChildProcess> {
  const config = join(folder, "config.toml");
  writeFileSync(
    config,
    `version = 2\nroot = "${folder}/root"\nstate = "${folder}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "${folder}/sock"\n`,
  );
  const log = openSync(join(folder, "log"), "w");
  const daemon = spawn("unshare", [...ownMounts, "containerd", "-c", config], {
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  await until(() => existsSync(join(folder, "sock")), "containerd listens");
  return daemon;
}

test("containerd: runs, adds to, stops and removes containers", without("containerd", "ctr"), async () => {
  using folder = folderFor("containerd");
  const rootfs = join(folder.path, "rootfs");
  makeRootfs(rootfs);
  const daemon = await startContainerd(folder.path);
  const ctr = (...args: readonly string[]): Ended => run("ctr", ["-a", join(folder.path, "sock"), ...args]);
  const runtime = ["--runc-binary", berthOci, "--rootfs", rootfs];
  try {
    const once = ctr("run", "--rm", ...runtime, "once", "sh", "-c", "echo out; exit 7");
    assert.deepEqual([once.status, once.out], [7, "out\n"], once.err);
    const started = ctr("run", "-d", ...runtime, "c1", "sleep", "1000");
    assert.equal(started.status, 0, started.err);
    assert.match(ctr("task", "ls").out, /^c1 .*RUNNING/m);
    const added = ctr("task", "exec", "--exec-id", "x1", "c1", "sh", "-c", "id -u; exit 3");
    assert.deepEqual([added.status, added.out], [3, "0\n"], added.err);
    assert.equal(ctr("task", "pause", "c1").status, 0);
    assert.match(ctr("task", "ls").out, /^c1 .*PAUSED/m);
    assert.equal(ctr("task", "resume", "c1").status, 0);
    assert.match(ctr("task", "ps", "c1").out, /^\d+/m);
    assert.equal(ctr("task", "kill", "-s", "KILL", "c1").status, 0);
    await until(() => /^c1 .*STOPPED/m.test(ctr("task", "ls").out), "killed");
    assert.equal(ctr("task", "rm", "c1").status, 0);
    assert.equal(ctr("container", "rm", "c1").status, 0);
  } finally {
    ctr("task", "rm", "-f", "c1");
    daemon.kill();
    await until(() => daemon.exitCode !== null || daemon.signalCode !== null, "containerd ends");
  }
});
