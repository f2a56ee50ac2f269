import "./isolated.ts";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import type { SpecProcess } from "../../src/core/oci-runtime-spec.ts";
import type { ExecCommand, ExecExit, ExecSession } from "../../src/shim/client/index.ts";
import { isAlive, until, unifiedRoot } from "./evidence.ts";
import { type TestContainer, TestHost, wait } from "./host.ts";

let host: TestHost;
let container: TestContainer;
before(async () => {
  host = await TestHost.start();
  container = await host.create(["sleep", "1000"]);
  await container.shim.start(wait);
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

interface Seen {
  out: string;
  err: string;
}

function command(
  args: readonly string[],
  change: Partial<ExecCommand> = {},
  process: Partial<SpecProcess> = {},
): ExecCommand {
  return {
    process: { args, cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 }, ...process },
    stdin: "closed",
    timeoutMs: 0,
    drainMs: 500,
    ...change,
  };
}

async function begin(request: ExecCommand, on = container): Promise<{ session: ExecSession; seen: Seen }> {
  const seen: Seen = { out: "", err: "" };
  const session = await on.shim.exec(
    request,
    {
      onStdout: (bytes) => void (seen.out += bytes.toString()),
      onStderr: (bytes) => void (seen.err += bytes.toString()),
    },
    wait,
  );
  return { session, seen };
}

async function run(request: ExecCommand, on = container): Promise<ExecExit & Seen> {
  const { session, seen } = await begin(request, on);
  return { ...(await session.exit), ...seen };
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Processes of the container's cgroup, sub-cgroups included. */
function inside(): number {
  const root = `${unifiedRoot}/berth-test/${container.id}`;
  const below = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [root, ...below.map((entry) => `${root}/${entry.name}`)]
    .map((path) => readFileSync(`${path}/cgroup.procs`, "utf8").split("\n").length - 1)
    .reduce((sum, count) => sum + count, 0);
}

test("exec: exit status, signal, and both streams apart", async () => {
  assert.deepEqual(await run(command(["sh", "-c", "echo out; echo err >&2; exit 9"])), {
    exitCode: 9,
    signal: 0,
    timedOut: false,
    out: "out\n",
    err: "err\n",
  });
  const killed = await run(command(["sh", "-c", "kill -15 $$"]));
  assert.deepEqual([killed.exitCode, killed.signal], [143, 15]);
});

test("exec: user, cwd, environment and rlimits are the request's", async () => {
  const { out } = await run(
    command(
      ["sh", "-c", "id -u; pwd; echo $X; ulimit -n"],
      {},
      {
        user: { uid: 33, gid: 44, additionalGids: [5] },
        cwd: "/tmp",
        env: ["PATH=/bin", "X=y"],
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 99, hard: 100 }],
      },
    ),
  );
  assert.equal(out, "33\n/tmp\ny\n99\n");
});

test("exec: standard input, with half-close", async () => {
  const { session, seen } = await begin(command(["cat"], { stdin: "open" }));
  const block = Buffer.alloc(300_000, "ab");
  await session.writeStdin(block);
  await session.writeStdin(Buffer.from("end"));
  await session.closeStdin();
  assert.equal((await session.exit).exitCode, 0);
  assert.equal(seen.out, block.toString() + "end");
});

test("exec: a missing command is an error before anything runs; later ones work", async () => {
  await assert.rejects(run(command(["nope"])), { message: /exec.*nope/ });
  await assert.rejects(run(command(["true"], {}, { cwd: "/missing" })), {
    message: /chdir \/missing: no such file or directory/,
  });
  assert.equal((await run(command(["true"]))).exitCode, 0);
});

test("exec: unknown fields and bad ids are refused", async () => {
  await assert.rejects(run(command(["true"], {}, { nonsense: 1 } as never)), {
    message: /process.nonsense: unknown field/,
  });
  await assert.rejects(run(command(["true"], {}, { user: { uid: -1, gid: 0 } })), {
    message: /process.user.uid/,
  });
});

test("exec: a timeout kills the process and what it left behind, double-forked or in a session of its own", async () => {
  const before = inside();
  const script = "(setsid sh -c 'sleep 100 & sleep 100' &); (sleep 100 &) ; sleep 100";
  const result = await run(command(["sh", "-c", script], { timeoutMs: 300 }));
  assert.equal(result.timedOut, true);
  assert.equal(result.signal, 9);
  await until(() => inside() === before, "all of it dies");
  assert.equal((await run(command(["true"]))).exitCode, 0, "the sub-cgroup is usable again");
});

test("exec: a client that goes away takes the process along", async () => {
  const before = inside();
  const { session } = await begin(command(["sh", "-c", "(setsid sleep 100 &); sleep 100"]));
  await until(() => inside() >= before + 2, "it runs");
  session.close();
  await until(() => inside() === before, "it dies");
});

test("exec: output that a descendant holds open is waited for drainMs, no longer", async () => {
  const before = inside();
  const started = performance.now();
  const result = await run(command(["sh", "-c", "sleep 2 & echo done"], { drainMs: 200 }));
  assert.equal(result.out, "done\n");
  assert.ok(performance.now() - started < 1900);
  await until(() => inside() === before, "what was left behind ends");
});

test("exec: a terminal, its size, and resize", async () => {
  const { session, seen } = await begin(
    command(
      ["sh", "-c", "tty; stty size; read line; stty size"],
      { stdin: "open" },
      { terminal: true, consoleSize: { height: 30, width: 90 } },
    ),
  );
  await until(() => seen.out.includes("30 90"), "the first size");
  await session.resize(40, 120, wait);
  await session.writeStdin(Buffer.from("\n"));
  assert.equal((await session.exit).exitCode, 0);
  assert.match(seen.out, /^\/dev\/pts\/\d+\r\n30 90\r\n\r\n40 120\r\n$/);
});

test("exec: 32 at a time, the next is told so", async () => {
  const sessions = await Promise.all(Array.from({ length: 32 }, () => begin(command(["sleep", "100"]))));
  assert.ok(supervisors() >= 32);
  await assert.rejects(run(command(["true"])), { code: "resource-exhausted" });
  for (const { session } of sessions) session.close();
  await until(() => inside() === 1, "all go");
  await until(() => supervisors() === 0, "their supervisors go");
  assert.equal((await run(command(["true"]))).exitCode, 0);
});

test("exec: what added processes leave behind does not use the 32 up, and a timeout still kills", async () => {
  const own = await host.create(["sleep", "1000"]);
  await own.shim.start(wait);
  for (let index = 0; index < 34; index++) {
    assert.equal((await run(command(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & true"]), own)).exitCode, 0);
  }
  const late = await run(
    command(["sh", "-c", "sleep 50 & sleep 50"], { timeoutMs: 200, drainMs: 5000 }),
    own,
  );
  assert.deepEqual([late.timedOut, late.signal], [true, 9]);
  await own.shim.delete(wait);
});

/** Of this container's execs: other shims of the machine have theirs. */
function supervisors(): number {
  const { shimPid } = container.created;
  const children = readFileSync(`/proc/${shimPid}/task/${shimPid}/children`, "utf8").trim().split(" ");
  return children.filter(isSupervisor).length;
}

function isSupervisor(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8") === "berth-execd\n" && isAlive(Number(pid));
  } catch {
    return false;
  }
}

test("exec: 10 MB of output arrive whole, in order, with a slow reader", async () => {
  let bytes = 0;
  const session = await container.shim.exec(
    command(["sh", "-c", "head -c 10000000 /dev/zero"]),
    {
      onStdout: async (chunk) => {
        bytes += chunk.length;
        if (bytes % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      },
    },
    wait,
  );
  assert.equal((await session.exit).exitCode, 0);
  assert.equal(bytes, 10_000_000);
});

test("CVE-2024-21626: an exec's working folder below /proc/self/fd is refused", async () => {
  for (const cwd of ["/proc/self/fd/5", "/proc/self/fd/8"]) {
    await assert.rejects(run(command(["true"], {}, { cwd })), { message: /proc\/self\/fd/ });
  }
});

test("CVE-2016-9962: no descriptor but 0, 1 and 2 reaches an added process", async () => {
  assert.equal((await run(command(["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]))).out, "0 1 2 3 ");
});

test("exec: refused in a container that is not running", async () => {
  const created = await host.create(["true"]);
  await assert.rejects(run(command(["true"]), created), {
    code: "failed-precondition",
    message: /exec: container .* is created/,
  });
  await created.shim.delete(wait);
});

test(
  "CVE-2022-23471: 1000 execs leave the shim's descriptors, children and memory where they were",
  { timeout: 120_000 },
  async () => {
    const { shimPid } = container.created;
    // Not Private_Dirty: what is shared with the log's writer becomes the shim's own when that one ends.
    const heap = (): number =>
      Number(/^Anonymous:\s+(\d+)/m.exec(readFileSync(`/proc/${shimPid}/smaps_rollup`, "utf8"))?.[1]);
    for (let index = 0; index < 50; index++) await run(command(["true"]));
    const before = { descriptors: descriptors(shimPid), heap: heap() };
    for (let index = 0; index < 1000; index++) {
      const result = await run(command(["true"]));
      assert.equal(result.exitCode, 0);
    }
    assert.equal(descriptors(shimPid), before.descriptors);
    const children = readFileSync(`/proc/${shimPid}/task/${shimPid}/children`, "utf8").trim().split(" ");
    assert.ok(children.length <= 2, `children: ${children.join(" ")}`);
    // They leave no garbage: probes come every few seconds for years.
    assert.ok(heap() <= before.heap + 64, `${before.heap} kB before, ${heap()} kB after`);
  },
);
