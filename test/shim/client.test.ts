import "./isolated.ts";
import assert from "node:assert/strict";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Launcher, ShimConnection, readExitRecord } from "../../src/shim/client/index.ts";
import { cgroupsLeft, isAlive, until } from "./evidence.ts";
import { TestHost, bundlePath, processesNamed, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

/** Process ids of the launchers that serve a folder. */
function launchersOf(runDir: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && isAlive(pid))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        const name = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
        return words.includes(join(runDir, "launcher")) && name === "berth-launcher";
      } catch {
        return false;
      }
    });
}

/** A child that was forked a moment ago still has its launcher's name. */
async function onlyLauncherOf(runDir: string): Promise<number> {
  await until(() => launchersOf(runDir).length === 1, `one launcher of ${runDir}`);
  return launchersOf(runDir)[0] ?? 0;
}

/** A copy of the bundle that differs, as another build's does. */
function otherBundle(folder: string): string {
  const path = join(folder, "other.lua");
  copyFileSync(bundlePath, path);
  appendFileSync(path, "\n-- another build\n");
  return path;
}

const luajit = "/usr/bin/luajit";

test("launcher: found by the next daemon, started once by many at a time", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "berth-client-"));
  const options = { luajit, bundle: bundlePath, runDir };
  const first = await Launcher.ensure(options, wait);
  const pid = await onlyLauncherOf(runDir);
  await Launcher.ensure(options, wait);
  assert.equal(await onlyLauncherOf(runDir), pid);
  process.kill(pid, "SIGKILL");
  await until(() => !isAlive(pid), "the launcher is dead");
  const gone = { id: "absent", pins: {} };
  await Promise.all([first.removePod(gone, wait), first.removePod(gone, wait), first.removePod(gone, wait)]);
  assert.notEqual(await onlyLauncherOf(runDir), pid);
  await first.shutdown(wait);
  await until(() => launchersOf(runDir).length === 0, "the launcher ends");
  await first.shutdown(wait);
  rmSync(runDir, { recursive: true });
});

test("launcher: one of another build is replaced; its shims live on and a newer daemon reaches them", async () => {
  const container = await host.create(["sh", "-c", "sleep 0.5; echo still here; exit 5"]);
  await container.shim.start(wait);
  const before = await onlyLauncherOf(host.folder);
  const newer = await Launcher.ensure(
    { luajit, bundle: otherBundle(host.folder), runDir: host.folder },
    wait,
  );
  const pid = await onlyLauncherOf(host.folder);
  assert.notEqual(pid, before);
  const connection = await ShimConnection.connect(join(container.folder, "shim.sock"), newer.identity, wait);
  assert.equal((await connection.state(wait)).status, "running");
  assert.equal((await container.exit).exitCode, 5);
  assert.deepEqual(container.logLines(), ["stdout F still here"]);
  await Launcher.ensure({ luajit, bundle: bundlePath, runDir: host.folder }, wait);
  assert.notEqual(await onlyLauncherOf(host.folder), pid);
});

test("launcher: killed, its shims live, are reached, run commands, and a new one serves", async () => {
  const container = await host.create(["sh", "-c", "sleep 100"]);
  await container.shim.start(wait);
  const pid = await onlyLauncherOf(host.folder);
  process.kill(pid, "SIGKILL");
  await until(() => !isAlive(pid), "the launcher is dead");
  assert.equal((await container.shim.state(wait)).status, "running");
  assert.equal(await host.exec(container, "echo alive"), "alive\n");
  assert.deepEqual((await host.sh("echo served")).lines, ["stdout F served"]);
  await container.shim.kill(9, "init", wait);
  assert.equal((await container.exit).exitCode, 137);
});

test("launcher: one that hangs loses its socket to another", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "berth-client-"));
  const options = { luajit, bundle: bundlePath, runDir };
  await Launcher.ensure(options, wait);
  const hung = await onlyLauncherOf(runDir);
  process.kill(hung, "SIGSTOP");
  const launcher = await Launcher.ensure(options, wait);
  await launcher.removePod({ id: "absent", pins: {} }, wait);
  process.kill(hung, "SIGKILL");
  await until(() => !isAlive(hung), "the hung launcher is dead");
  await launcher.removePod({ id: "absent", pins: {} }, wait);
  await launcher.shutdown(wait);
  await until(() => launchersOf(runDir).length === 0, "the launcher ends");
  rmSync(runDir, { recursive: true });
});

test("launcher: one that cannot come up is an error with its last words", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "berth-client-"));
  const broken = join(runDir, "broken.lua");
  writeFileSync(broken, "error('nothing works here')");
  await assert.rejects(Launcher.ensure({ luajit, bundle: broken, runDir }, wait), {
    code: "unavailable",
    message: /launcher ended with 1: .*nothing works here/s,
  });
  await assert.rejects(Launcher.ensure({ luajit: "/no/luajit", bundle: bundlePath, runDir }, wait), {
    code: "unavailable",
    message: /launcher \/no\/luajit: .*ENOENT/,
  });
  await assert.rejects(Launcher.ensure({ luajit, bundle: join(runDir, "absent.lua"), runDir }, wait), {
    code: "not-found",
    message: `shim program ${join(runDir, "absent.lua")} cannot be read`,
  });
  rmSync(runDir, { recursive: true });
});

test("launcher: its environment, session and working folder are its own", async () => {
  const runDir = mkdtempSync(join(tmpdir(), "berth-client-"));
  process.env["LUA_INIT"] = "error('LUA_INIT was read')";
  const launcher = await Launcher.ensure({ luajit, bundle: bundlePath, runDir }, wait);
  delete process.env["LUA_INIT"];
  const pid = await onlyLauncherOf(runDir);
  assert.equal(readFileSync(`/proc/${pid}/environ`, "utf8"), "");
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  assert.equal(Number(stat[3]), pid);
  await launcher.shutdown(wait);
  await until(() => launchersOf(runDir).length === 0, "the launcher ends");
  rmSync(runDir, { recursive: true });
});

test("daemon: its connection lost, the container goes on, log and record are whole", async () => {
  const container = await host.create([
    "sh",
    "-c",
    "for i in $(seq 200); do echo line $i; sleep 0.002; done; exit 9",
  ]);
  await container.shim.start(wait);
  container.shim.close();
  await until(() => !isAlive(container.created.shimPid), "the shim ends by itself");
  assert.equal((await readExitRecord(container.recordPath))?.exitCode, 9);
  assert.deepEqual(
    container.logLines(),
    Array.from({ length: 200 }, (_, index) => `stdout F line ${index + 1}`),
  );
});

test("daemon: a create that is given up is undone by the shim", async () => {
  const known = new Set(readdirSync(host.folder));
  const shims = processesNamed(host, "berth-shim").length;
  const hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "0.5"] }] };
  const creating = host.create(["true"], { spec: { hooks } }, { timeoutMs: 100 });
  const id = readdirSync(host.folder).find((name) => !known.has(name)) ?? "";
  await Promise.all([
    until(() => cgroupsLeft(id).length > 0, "the shim makes the cgroup"),
    assert.rejects(creating, {
      code: "deadline-exceeded",
      message: /^create on .*: no answer in \d+ ms$/,
    }),
  ]);
  await until(() => cgroupsLeft(id).length === 0, "the shim undoes what it made");
  await until(() => processesNamed(host, "berth-shim").length <= shims, "the shim ends");
});

test("daemon: several connections to one shim all hear of the exit", async () => {
  const container = await host.create(["sh", "-c", "sleep 0.2; exit 4"]);
  const socket = join(container.folder, "shim.sock");
  const others = await Promise.all(
    Array.from({ length: 5 }, () => ShimConnection.connect(socket, host.launcher.identity, wait)),
  );
  const exits = others.map((other) => new Promise((resolve) => other.onExit(resolve)));
  await others[0]?.start(wait);
  const records = await Promise.all([container.exit, ...exits]);
  for (const record of records) assert.deepEqual(record, records[0]);
  assert.ok(!existsSync(socket) || (await container.shim.closed));
});

test("daemon: a socket that is no shim's is no hang", async () => {
  const path = join(host.folder, "stranger.sock");
  const server = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await assert.rejects(ShimConnection.connect(path, host.launcher.identity, { timeoutMs: 100 }), {
    code: "deadline-exceeded",
  });
  await new Promise((resolve) => server.close(resolve));
});
