import "./isolated.ts";
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Launcher, ShimConnection } from "../../src/shim/client/index.ts";
import { cgroupsLeft, isAlive, until, unifiedRoot } from "./evidence.ts";
import { TestHost, bundlePath, processesNamed, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

/** The launchers of this host's folder that run. */
function launchers(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return (
          args[0] === "berth-launcher" &&
          args[3] === join(host.folder, "launcher") &&
          readFileSync(`/proc/${pid}/comm`, "utf8") === "berth-launcher\n" &&
          isAlive(pid)
        );
      } catch {
        return false;
      }
    });
}

test("launcher: sealed interpreter, session of its own, not dumpable, socket 0600 in a 0700 folder", async () => {
  await until(() => launchers().length === 1, "one launcher");
  const [pid = 0] = launchers();
  assert.match(readlinkSync(`/proc/${pid}/exe`), /^\/memfd:berth-shim/);
  assert.equal(readFileSync(`/proc/${pid}/environ`, "utf8"), "");
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ");
  assert.equal(stat?.[3], String(pid), "leads its session");
  assert.equal(statSync(join(host.folder, "launcher")).mode & 0o777, 0o700);
  assert.equal(statSync(join(host.folder, "launcher", "launcher.sock")).mode & 0o777, 0o600);
  assert.match(readFileSync(`/proc/${pid}/cgroup`, "utf8"), /^0::\/berth-shims\/launcher$/m);
});

test("launcher: a pod that is given up at any moment, and undone beside its making, leaves nothing", async () => {
  const folder = join(host.folder, "given-up");
  mkdirSync(folder);
  let givenUp = 0;
  for (let timeoutMs = 1; timeoutMs <= 16; timeoutMs++) {
    const pins = { ipc: join(folder, "ipc"), pid: join(folder, "pid") };
    const made = { id: "given-up", pins, cgroup: "/berth-test/given-up" };
    const shmPath = join(folder, "shm");
    await host.launcher
      .createPod(
        { ...made, hostname: "", sysctls: {}, shm: { path: shmPath, sizeBytes: 4096 } },
        { timeoutMs },
      )
      .catch(() => givenUp++);
    await host.launcher.removePod({ ...made, shmPath }, wait);
    await until(
      () =>
        ["berth-serve", "berth-pod", "berth-reaper"].every((name) => processesNamed(host, name).length === 0),
      `the end of what made a pod for ${timeoutMs} ms`,
    );
    assert.deepEqual(readdirSync(folder), [], `after ${timeoutMs} ms`);
    assert.equal(readFileSync("/proc/self/mountinfo", "utf8").includes(folder), false);
    assert.deepEqual(cgroupsLeft("given-up"), []);
  }
  assert.ok(givenUp > 0);
});

test("CVE-2020-15257: no abstract socket is listened on", () => {
  const sockets = readFileSync("/proc/net/unix", "utf8");
  assert.doesNotMatch(sockets, /@.*berth/);
});

test("launcher: killed, its shims live on, are reached again, and a new one starts by itself", async () => {
  const container = await host.create(["sleep", "100"]);
  await container.shim.start(wait);
  const [pid = 0] = launchers();
  process.kill(pid, "SIGKILL");
  await until(() => launchers().length === 0, "the launcher dies");
  assert.equal((await container.shim.state(wait)).status, "running");
  const again = await ShimConnection.connect(
    join(container.folder, "shim.sock"),
    host.launcher.identity,
    wait,
  );
  assert.equal((await again.state(wait)).pid, container.created.pid);
  assert.equal((await host.run(["true"])).record.exitCode, 0);
  await again.kill(9, "init", wait);
  assert.equal((await container.exit).signal, 9);
});

test("launcher: a shim that hangs, its queue full, is not taken for gone", async () => {
  const container = await host.create(["sleep", "100"]);
  await container.shim.start(wait);
  const path = join(container.folder, "shim.sock");
  process.kill(container.created.shimPid, "SIGSTOP");
  const reach = (timeoutMs: number): Promise<ShimConnection> =>
    ShimConnection.connect(path, host.launcher.identity, { timeoutMs });
  // Each leaves its closed connection in the queue, as a daemon does that asks again and again.
  await Promise.all(
    Array.from({ length: 40 }, () => assert.rejects(reach(300), { code: "deadline-exceeded" })),
  );
  await assert.rejects(reach(100), { code: "deadline-exceeded", message: /^connect / });
  process.kill(container.created.shimPid, "SIGCONT");
  const again = await reach(wait.timeoutMs);
  assert.equal((await again.state(wait)).status, "running");
  await again.delete(wait);
});

test("launcher: one of another build is replaced, and its shims are served by both", async () => {
  const container = await host.create(["sleep", "100"]);
  await container.shim.start(wait);
  const [old = 0] = launchers();
  const bundle = join(host.folder, "other.lua");
  copyFileSync(bundlePath, bundle);
  writeFileSync(bundle, "\n", { flag: "a" });
  const next = await Launcher.ensure({ luajit: "/usr/bin/luajit", bundle, runDir: host.folder }, wait);
  await until(() => !isAlive(old), "the old launcher ends");
  const again = await ShimConnection.connect(join(container.folder, "shim.sock"), next.identity, wait);
  await again.delete(wait);
  const back = await Launcher.ensure(
    { luajit: "/usr/bin/luajit", bundle: bundlePath, runDir: host.folder },
    wait,
  );
  assert.equal(back.identity.build, host.launcher.identity.build);
});

test("launcher: one that hung and was replaced leaves the next one's socket alone when it ends", async () => {
  await until(() => launchers().length === 1, "one launcher");
  const [old = 0] = launchers();
  process.kill(old, "SIGSTOP");
  await Launcher.ensure({ luajit: "/usr/bin/luajit", bundle: bundlePath, runDir: host.folder }, wait);
  process.kill(old, "SIGTERM");
  process.kill(old, "SIGCONT");
  await until(() => !isAlive(old), "the old launcher ends");
  const [next] = launchers();
  assert.equal((await host.run(["true"])).record.exitCode, 0);
  await until(() => launchers().length === 1, "still one launcher");
  assert.deepEqual(launchers(), [next]);
});

for (const [what, bytes] of [
  ["says nothing and goes", Buffer.alloc(0)],
  ["sends rubbish", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["announces a gigabyte", Buffer.from([0, 0, 0, 0x40, 0])],
  ["asks before it says hello", frame({ type: "shutdown", seq: 1 })],
  ["sends no JSON", Buffer.concat([Buffer.from([3, 0, 0, 0, 0]), Buffer.from("{{{")])],
] as const) {
  test(`launcher: a client that ${what} is cut off, and harms nobody`, async () => {
    const socket = connect(join(host.folder, "launcher", "launcher.sock"));
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("connect", resolve));
    if (bytes.length > 0) socket.write(bytes);
    else socket.end();
    await new Promise((resolve) => socket.once("close", resolve));
    assert.equal((await host.run(["true"])).record.exitCode, 0);
  });
}

function frame(message: object): Buffer {
  const payload = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(5);
  header.writeUInt32LE(payload.length, 0);
  return Buffer.concat([header, payload]);
}

test("launcher: a client that hangs up midway through a creation leaves nothing", async () => {
  const abort = new AbortController();
  const slow = host.create(
    ["true"],
    {
      spec: { hooks: { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "5"] }] } },
      request: {},
    },
    { ...wait, signal: abort.signal },
  );
  setTimeout(() => {
    abort.abort();
  }, 200);
  await assert.rejects(slow);
  await until(
    () => processesNamed(host, "berth-create").length + processesNamed(host, "berth-init").length === 0,
    "creator and init are gone",
  );
  await until(() => cgroupNames().length === 0, "and the cgroup");
});

function cgroupNames(): string[] {
  // The last suite to end takes the parent along.
  if (!existsSync(`${unifiedRoot}/berth-test`)) return [];
  return (
    readdirSync(`${unifiedRoot}/berth-test`, { withFileTypes: true })
      .map((entry) => entry.name)
      // Other suites run at the same time: only this host's containers count.
      .filter((name) => existsSync(join(host.folder, name)))
  );
}

test("launcher: the shim that is asked for ahead is given next, and replaced when it dies", async () => {
  host.launcher.keepShimReady();
  await until(() => spares().length === 1, "one is there");
  const [first = 0] = spares();
  const { created } = await host.create(["sleep", "100"]);
  assert.equal(created.shimPid, first);
  await until(() => spares().length === 1, "another is there");
  const [second = 0] = spares();
  process.kill(second, "SIGKILL");
  await until(() => spares().length === 0, "it is dead");
  // The end of its connection may not have been noticed yet: then another is asked for.
  assert.equal((await host.run(["true"])).record.exitCode, 0);
  await host.launcher.letGo();
});

test("launcher: the shim that is asked for ahead outlives the launcher, and ends with whoever asked", async () => {
  host.launcher.keepShimReady();
  await until(() => spares().length === 1, "one is there");
  const pid = Math.min(...launchers());
  process.kill(pid, "SIGKILL");
  await until(() => !isAlive(pid), "the launcher dies");
  assert.equal((await host.run(["true"])).record.exitCode, 0);
  await until(() => spares().length === 1, "the next is there");
  await host.launcher.letGo();
  await until(() => spares().length === 0, "it ends");
});

test("launcher: many who want a shim at once all get one", async () => {
  const runs = await Promise.all(Array.from({ length: 8 }, () => host.run(["true"])));
  for (const { record } of runs) assert.equal(record.exitCode, 0);
});

/** Shims of this host that have no container; their creators have the same name. */
function spares(): number[] {
  const found = processesNamed(host, "berth-spare");
  return found.filter((pid) => found.some((child) => parentOf(child) === pid));
}

function parentOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[1]);
  } catch {
    return 0;
  }
}

test("launcher: it holds no descriptor but its own few", () => {
  const [pid = 0] = launchers();
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  assert.equal(open[0], "/dev/null");
  // 0 to 2, the loop, the socket, the signals.
  assert.equal(open.length, 6, open.join(" "));
});
