import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { guestAvailable, runInGuest } from "./guest.ts";

const guest = await guestAvailable();
const run = fileURLToPath(new URL("run", import.meta.url));
const shell = (script: string) => ["sh", "-c", script];

/** What the runtime can't do without; the names are features.lua's. Both kernels that build tries have these. */
const REQUIRED = [
  "cgroup2 cpu",
  "cgroup2 io",
  "cgroup2 memory",
  "cgroup2 pids",
  "cgroup.kill",
  "cgroup.freeze",
  "pids.max refuses a fork",
  "memory.max ends in an OOM kill",
  "cpu.max and cpu.weight",
  "io.max",
  "bpf: cgroup device program",
  "clone3 with CLONE_INTO_CGROUP",
  "overlay, upper on tmpfs, volatile",
  "overlay, upper on the root disk",
  "open_tree and move_mount",
  "mount_setattr, recursively read-only",
  "openat2 with RESOLVE_IN_ROOT",
  "pidfd_open, pidfd_send_signal, setns of a pidfd",
  "user namespace",
  "all namespaces at once",
  "seccomp filter",
  "close_range",
  "execution of a sealed memfd",
  "veth and bridge",
  "apparmor, a profile denies",
];

/** Processes and folders of guests that belong to nobody any more: those that name `mark`. */
async function leftovers(mark: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes(mark)) found.push(`${pid} ${command.replaceAll("\0", " ")}`);
  }
  return found;
}

suite("vm", { skip: guest.ok ? false : guest.reason, concurrency: 2 }, () => {
  for (const status of [0, 3, 255]) {
    test(`vm: exit status ${status} comes through`, async () => {
      const result = await runInGuest(shell(`exit ${status}`));
      assert.equal(result.status, status, result.output);
    });
  }

  test("vm: a command that is not there is 127", async () => {
    const result = await runInGuest(["no-such-command"]);
    assert.equal(result.status, 127);
    assert.match(result.stderr, /no-such-command/);
  });

  test("vm: the streams come through apart and byte for byte", async () => {
    const result = await runInGuest(shell("printf 'a\\tb\\r\\nc\\001\\004d'; echo err >&2; seq 50000"));
    assert.equal(result.status, 0, result.stderr);
    assert.equal(result.stderr, "err\n");
    assert.ok(result.stdout.startsWith("a\tb\r\nc\u0001\u0004d1\n2\n"));
    assert.ok(result.stdout.endsWith("\n49999\n50000\n"), result.stdout.slice(-100));
    assert.equal(result.stdout.split("\n").length, 50_000 + 2);
  });

  test("vm: arguments arrive as they were given", async () => {
    const argv = ["printf", "[%s]", "two words", "", "quo\"te's", "new\nline", "$HOME *"];
    const result = await runInGuest(argv);
    assert.equal(
      result.stdout,
      argv
        .slice(2)
        .map((argument) => `[${argument}]`)
        .join(""),
    );
  });

  test("vm: the checkout is read-only, the scratch folder is not", async () => {
    const scratch = await mkdtemp(join(tmpdir(), "vm-test-"));
    try {
      const result = await runInGuest(
        shell(
          "test -f package.json && ! touch package.json 2>/dev/null && echo kept >$BERTH_GUEST_SCRATCH/file",
        ),
        { scratch },
      );
      assert.equal(result.status, 0, result.output);
      assert.equal(await readFile(join(scratch, "file"), "utf8"), "kept\n");
    } finally {
      await rm(scratch, { recursive: true });
    }
  });

  test("vm: the kernel has what the runtime needs", async (t) => {
    const result = await runInGuest(shell("uname -r && luajit test/vm/features.lua"));
    assert.equal(result.status, 0, result.output);
    const lines = result.stdout.trimEnd().split("\n");
    t.diagnostic(`kernel ${String(lines[0])}`);
    for (const line of lines.filter((one) => one.includes(" no: "))) t.diagnostic(line);
    const missing = REQUIRED.filter((name) => !lines.includes(`${name} ok`));
    assert.deepEqual(missing, [], result.output);
  });

  test("vm: systemd is PID 1, runs, and the job is a unit with delegated controllers", async () => {
    const result = await runInGuest(
      shell(
        "cat /proc/1/comm; systemctl is-system-running --wait; cat /proc/self/cgroup; " +
          "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cgroup.controllers; exit 3",
      ),
      { systemd: true },
    );
    assert.equal(
      result.stdout,
      "systemd\nrunning\n0::/system.slice/berth-guest.service\ncpu io memory pids\n",
      result.output,
    );
    assert.equal(result.status, 3);
  });

  test("vm: the pinned Node runs with its compiler, threads, children, and the native modules", async () => {
    const program = `
      const { createRequire } = await import("node:module");
      const require = createRequire(process.cwd() + "/package.json");
      const { Worker } = require("node:worker_threads");
      const { Level } = require("level");
      const { open, load, DataType } = require("ffi-rs");
      const database = new Level("/var/lib/level-test");
      await database.put("key", "value", { sync: true });
      const value = await database.get("key");
      await database.close();
      open({ library: "libc", path: "libc.so.6" });
      const pid = load({ library: "libc", funcName: "getpid", retType: DataType.I32, paramsType: [], paramsValue: [] });
      const worker = new Worker("import('node:worker_threads').then((it) => it.parentPort.postMessage('thread'))", { eval: true });
      const thread = await new Promise((resolve) => worker.once("message", resolve));
      const child = require("node:child_process").execFileSync("echo", ["child"], { encoding: "utf8" }).trim();
      console.log(process.version, value, pid === process.pid, thread, child);`;
    const result = await runInGuest(["node", "--input-type=module", "--eval", program]);
    assert.equal(result.output, `${process.version} value true thread child\n`);
    assert.equal(result.status, 0);
  });

  test("vm: a guest whose time is over is 124 and leaves nothing", async () => {
    const result = await runInGuest(shell("echo begun; sleep 1000"), { timeoutMs: 5000, memoryMib: 509 });
    assert.equal(result.status, 124, result.output);
    assert.equal(result.stdout, "begun\n");
    assert.match(result.stderr, /ended after 5 s/);
    assert.deepEqual(await leftovers("mem=509M"), []);
  });

  test("vm: an aborted run ends, and leaves nothing", async () => {
    const reason = new Error("enough");
    const abort = new AbortController();
    setTimeout(() => {
      abort.abort(reason);
    }, 3000);
    await assert.rejects(runInGuest(["sleep", "1000"], { signal: abort.signal, memoryMib: 510 }), reason);
    assert.deepEqual(await leftovers("mem=510M"), []);
  });

  test("vm: the guest ends with a run script that is killed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vm-test-"));
    try {
      const child = spawn(run, ["--memory", "511", "--", "sleep", "1000"], {
        stdio: ["ignore", "ignore", "inherit"],
        env: { ...process.env, TMPDIR: folder }, // what it leaves on disk goes away with the folder
      });
      const ended = new Promise((resolve) => child.once("exit", resolve));
      await until(async () => (await leftovers("mem=511M")).some((line) => line.includes("linux.uml mem=")));
      child.kill("SIGKILL");
      await ended;
      await until(async () => (await leftovers("mem=511M")).length === 0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("vm: guests don't see one another's writes", async () => {
    const write = shell("test ! -e /opt/file && touch /opt/file && sync");
    const results = await Promise.all([runInGuest(write), runInGuest(write)]);
    assert.deepEqual(
      results.map((result) => result.status),
      [0, 0],
    );
    assert.equal((await runInGuest(write)).status, 0);
  });

  test("vm: bad usage is refused with the reason", async () => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[], /no command given/],
      [["--timeout", "soon", "true"], /--timeout wants a number, not 'soon'/],
      [["--scratch", "/no/such/folder", "true"], /--scratch wants a folder, not '\/no\/such\/folder'/],
      [["--fast", "true"], /unknown option --fast/],
    ];
    for (const [argv, message] of cases) {
      await assert.rejects(promisify(execFile)(run, argv), (error: { code: number; stderr: string }) => {
        assert.equal(error.code, 125);
        assert.match(error.stderr, message);
        return true;
      });
    }
  });
});

/** Waits for a condition, at most 20 s. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(20_000);
  while (!(await condition())) {
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
