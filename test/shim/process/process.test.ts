import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import type { SpecLinux, SpecProcess } from "../../../src/core/oci-runtime-spec.ts";
import { luaLiteral } from "../support/lua-literal.ts";
import { type LuaModule, compileLua } from "../support/lua.ts";

interface Extra {
  readonly filter?: string;
  readonly workingFolder?: "make" | "require";
  readonly personality?: SpecLinux["personality"];
  /** Lua that runs first. */
  readonly before?: string;
}

interface Outcome {
  /** What the command printed; empty where it was not started. */
  readonly output: string;
  /** `code message` of the failure, or undefined. */
  readonly failure: string | undefined;
  readonly warnings: readonly string[];
}

/** Becomes the process as init would, but in the host's namespaces; tells of warnings and failure before it ends. */
function runProcess(module: LuaModule, change: Partial<SpecProcess>, extra: Extra = {}): Outcome {
  const process: SpecProcess = {
    cwd: "/",
    args: ["true"],
    env: ["PATH=/usr/bin:/bin"],
    user: { uid: 0, gid: 0 },
    ...change,
  };
  const text = module.run(`
local ffi = require("ffi")
ffi.cdef[[int pipe(int fds[2]); int dup2(int from, int to);]]
${extra.before ?? ""}
local function say(kind, text) io.stdout:write(kind, " ", text, "\\n") io.stdout:flush() end
local ok, problem = pcall(function()
  local filter = ${luaLiteral(extra.filter === undefined ? undefined : { path: extra.filter, flags: [] })}
  filter = filter and module.readSeccompFilter(filter)
  local prepared = module.prepareProcess(${luaLiteral(process)}, {
    procfs = module.openProcfs(),
    warn = function(text) say("warning", text) end,
    workingFolder = "${extra.workingFolder ?? "require"}",
    personality = ${extra.personality === undefined ? "nil" : luaLiteral(extra.personality)},
  })
  module.executeProcess(prepared, filter)
end)
say("failure", type(problem) == "table" and problem.code .. " " .. problem.message or "bug " .. tostring(problem))
`);
  const lines = text.split("\n");
  const told = (kind: string): string[] =>
    lines.filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1));
  const output = lines.filter((line) => !/^(warning|failure) /.test(line)).join("\n");
  return { output, failure: told("failure")[0], warnings: told("warning") };
}

function shell(script: string): string[] {
  return ["sh", "-c", script];
}

/** `/proc/self/status` of the process as a map. */
function statusOf(output: string): Map<string, string> {
  return new Map(
    output.split("\n").map((line) => {
      const [name = "", value = ""] = line.split(":");
      return [name, value.trim().replaceAll(/\s+/g, " ")];
    }),
  );
}

const hex = (...bits: number[]): string =>
  bits
    .reduce((sum, bit) => sum + (1n << BigInt(bit)), 0n)
    .toString(16)
    .padStart(16, "0");
const chown = 0;
const kill = 5;
const setfcap = 31;
const checkpointRestore = 40;

const hasStrace = spawnSync("strace", ["-V"]).status === 0;
const load = 0x20;
const jumpIfEqual = 0x15;
const ret = 0x06;
const allow = 0x7fff0000;
const errnoEperm = 0x00050001;

const isRoot = process.getuid?.() === 0;

await suite("what a process takes on", { skip: isRoot ? false : "needs root" }, async () => {
  const module = compileLua("process/index.ts");
  const folder = mkdtempSync(join(tmpdir(), "berth-process-"));
  chmodSync(folder, 0o755);
  after(() => {
    module[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  await test("plain: no capability, no ignored or blocked signal, no other descriptor, umask 022", () => {
    const { output, failure } = runProcess(
      module,
      { args: shell("cat /proc/self/status; umask; ls /proc/self/fd | wc -l") },
      {
        before:
          "ffi.cdef[[void *signal(int, long);]] ffi.C.signal(13, 1) ffi.C.signal(1, 1) ffi.C.dup2(1, 77)",
      },
    );
    assert.equal(failure, undefined);
    const status = statusOf(output);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
      assert.equal(status.get(set), hex(), set);
    for (const set of ["SigIgn", "SigBlk"]) assert.equal(status.get(set), hex(), set);
    assert.equal(status.get("NoNewPrivs"), "0");
    // Three, and the one that ls reads the folder with.
    assert.match(output, /\n0022\n4\n$/);
  });

  await test("user: ids, exactly the given groups, umask, all five sets of capabilities", () => {
    const kept = ["CAP_KILL", "CAP_SETFCAP", "CAP_CHECKPOINT_RESTORE"];
    const { output, failure } = runProcess(module, {
      args: shell("cat /proc/self/status; umask"),
      user: { uid: 1000, gid: 4294967294, umask: 0o77, additionalGids: [4000000000, 5] },
      noNewPrivileges: true,
      capabilities: {
        bounding: [...kept, "CAP_CHOWN"],
        permitted: kept,
        effective: ["CAP_KILL"],
        inheritable: kept,
        ambient: kept,
      },
    });
    assert.equal(failure, undefined);
    const status = statusOf(output);
    assert.equal(status.get("Uid"), "1000 1000 1000 1000");
    assert.equal(status.get("Gid"), "4294967294 4294967294 4294967294 4294967294");
    assert.equal(status.get("Groups"), "5 4000000000");
    const ambient = hex(kill, setfcap, checkpointRestore);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) assert.equal(status.get(set), ambient, set);
    assert.equal(status.get("CapBnd"), hex(chown, kill, setfcap, checkpointRestore));
    assert.equal(status.get("NoNewPrivs"), "1");
    assert.match(output, /\n0077\n$/);
  });

  await test("capabilities: one that is not held here is a warning, an unknown one is refused", () => {
    const lacking = { before: "ffi.C.prctl(24, 22, 0, 0, 0) ffi.C.prctl(24, 5, 0, 0, 0)" };
    const sets = { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"] };
    const held = runProcess(module, { args: ["cat", "/proc/self/status"], capabilities: sets }, lacking);
    assert.equal(statusOf(held.output).get("CapBnd"), hex());
    assert.deepEqual(held.warnings, ["CAP_KILL: not held here, dropped"]);
    const unknown = runProcess(module, { capabilities: { bounding: ["CAP_NONE"] } });
    assert.equal(unknown.failure, "invalid-argument process.capabilities: unknown CAP_NONE");
  });

  await test("limits: defaults, the spec's own, and a hard limit that can't be raised", () => {
    const { output, warnings } = runProcess(
      module,
      {
        args: ["cat", "/proc/self/limits"],
        rlimits: [
          { type: "RLIMIT_CPU", soft: 100, hard: 2 ** 64 },
          { type: "RLIMIT_FSIZE", soft: 5000, hard: 6000 },
        ],
      },
      // A hard limit of 900 s of CPU and no CAP_SYS_RESOURCE in the bounding set nor, so, after setuid, at all.
      {
        before: `
local limit = ffi.new("rlimit64_buf") limit.cur = 800 limit.max = 900 ffi.C.prlimit(0, 0, limit, nil)
local head = ffi.new("cap_header") head.version = 0x20080522
local data = ffi.new("cap_data[2]") ffi.C.sys_capget(${process.arch === "arm64" ? 90 : 125}, head, data)
local bit = require("bit") local mask = bit.bnot(bit.lshift(1, 24))
data[0].effective = bit.band(tonumber(data[0].effective), mask) % 2^32
data[0].permitted = bit.band(tonumber(data[0].permitted), mask) % 2^32
assert(ffi.C.sys_capset(${process.arch === "arm64" ? 91 : 126}, head, data) == 0)`,
      },
    );
    assert.deepEqual(warnings, ["RLIMIT_CPU: hard limit stays at 900, unlimited was asked for"]);
    const row = (name: string): string =>
      new RegExp(`^${name} +(\\S+) +(\\S+)`, "m").exec(output)?.slice(1).join(" ") ?? "";
    assert.equal(row("Max cpu time"), "100 900");
    assert.equal(row("Max file size"), "5000 6000");
    assert.equal(row("Max stack size"), "8388608 unlimited");
    assert.match(row("Max open files"), /^1024 \d+$/);
    assert.match(row("Max core file size"), /^0 /);
  });

  await test("environment: the last of a name counts; a NUL in an argument is refused", () => {
    const { output } = runProcess(module, {
      args: ["env"],
      env: ["PATH=/usr/bin:/bin", "A=1", "B=2", "A=3"],
    });
    assert.equal(output, "PATH=/usr/bin:/bin\nA=3\nB=2\n");
    const nul = runProcess(module, { args: ["echo", "a\0b"] });
    assert.equal(nul.failure, "invalid-argument process.args: an entry holds a NUL byte");
  });

  await test("oom score, scheduler, io priority, affinity, personality", () => {
    const { output, failure } = runProcess(
      module,
      {
        args: shell(
          "cat /proc/self/oom_score_adj; uname -m; chrt -p $$ | head -1; ionice -p $$; taskset -p $$",
        ),
        oomScoreAdj: 777,
        scheduler: { policy: "SCHED_BATCH", nice: 3 },
        ioPriority: { class: "IOPRIO_CLASS_BE", priority: 6 },
        execCPUAffinity: { final: "0" },
      },
      process.arch === "x64" ? { personality: { domain: "LINUX32" } } : {},
    );
    assert.equal(failure, undefined);
    assert.match(output, /^777\n/);
    if (process.arch === "x64") assert.match(output, /\ni686\n/);
    assert.match(output, /SCHED_BATCH\n.*prio 6\n.*mask: 1\n$/s);
  });

  await test("a new session keyring", () => {
    const { output } = runProcess(module, { args: ["cat", "/proc/keys"] });
    assert.match(output, /keyring +_ses: empty/);
  });

  await test("commands that can't be: code and text", () => {
    const noMagic = join(folder, "no-magic");
    const noInterpreter = join(folder, "no-interpreter");
    const forbidden = join(folder, "forbidden");
    writeFileSync(noMagic, "xx");
    writeFileSync(noInterpreter, "#!/nosuch/interpreter\n");
    writeFileSync(forbidden, "xx");
    chmodSync(noMagic, 0o755);
    chmodSync(noInterpreter, 0o755);
    const table: readonly [string, string][] = [
      ["nosuch", 'not-found exec "nosuch": executable file not found in $PATH'],
      ["", 'not-found exec "": executable file not found in $PATH'],
      ["forbidden", 'permission-denied exec "forbidden": permission denied'],
      ["/nosuch", "not-found exec /nosuch: no such file or directory"],
      ["/etc/passwd/x", "not-found exec /etc/passwd/x: not a directory"],
      ["/etc", "permission-denied exec /etc: is a directory"],
      [forbidden, `permission-denied exec ${forbidden}: permission denied`],
      [noMagic, `invalid-argument exec ${noMagic}: exec format error`],
      [
        noInterpreter,
        `not-found exec ${noInterpreter}: no such file or directory (its interpreter is missing)`,
      ],
    ];
    for (const [command, expected] of table) {
      const { failure } = runProcess(module, { args: [command], env: [`PATH=relative::${folder}:/usr/bin`] });
      assert.equal(failure, expected);
    }
  });

  await test("working folder: made, required, entered as root, never through procfs' magic links", () => {
    const made = join(folder, "a/b/c");
    assert.equal(
      runProcess(module, { cwd: made, args: ["pwd"] }).failure,
      `not-found chdir ${made}: no such file or directory`,
    );
    assert.equal(
      runProcess(module, { cwd: made, args: ["pwd"] }, { workingFolder: "make" }).output,
      `${made}\n`,
    );
    const secret = join(folder, "secret");
    const asRoot = { workingFolder: "make", before: `os.execute("mkdir -m 700 ${secret}")` } as const;
    const user = { uid: 1000, gid: 1000 };
    assert.equal(
      runProcess(module, { cwd: secret, args: shell("pwd -P"), user }, asRoot).output,
      `${secret}\n`,
    );
    // Descriptor 9 is a folder, as leaked ones were in CVE-2024-21626.
    const leaked = `ffi.C.dup2(ffi.C.open("${folder}", 0, 0), 9)`;
    for (const cwd of ["/proc/self/fd/9", "/proc/self/fd/9/planted", "/proc/self/cwd"]) {
      const { failure } = runProcess(
        module,
        { cwd, args: ["pwd"] },
        { workingFolder: "make", before: leaked },
      );
      assert.match(failure ?? "", /^internal chdir .*links of procfs on the way$/, cwd);
    }
    assert.equal(existsSync(join(folder, "planted")), false);
    const relative = runProcess(module, { cwd: "tmp", args: ["pwd"] });
    assert.equal(relative.failure, "invalid-argument process.cwd tmp: is not absolute");
  });

  await test("labels of modules that are not there are refused, unconfined is not", () => {
    const { failure } = runProcess(module, { apparmorProfile: "none-such" });
    assert.match(
      failure ?? "",
      /^failed-precondition process.apparmorProfile "none-such": .*AppArmor is off/,
    );
    assert.equal(runProcess(module, { apparmorProfile: "unconfined" }).failure, undefined);
    const selinux = runProcess(module, { selinuxLabel: "system_u:system_r:none_t:s0" });
    assert.match(selinux.failure ?? "", /^failed-precondition process.selinuxLabel/);
  });

  await test("seccomp: with and without no_new_privs and root; CAP_SYS_ADMIN is gone after execve", () => {
    const filter = join(folder, "deny-mkdir");
    writeFileSync(filter, denyMkdir());
    for (const noNewPrivileges of [true, false]) {
      for (const uid of [0, 1000]) {
        const { output, failure } = runProcess(
          module,
          {
            args: shell(`cat /proc/self/status; mkdir ${folder}/never 2>/dev/null || echo refused`),
            user: { uid, gid: 0 },
            noNewPrivileges,
            capabilities: { bounding: ["CAP_KILL"], permitted: ["CAP_KILL"], effective: ["CAP_KILL"] },
          },
          { filter },
        );
        assert.equal(failure, undefined);
        const status = statusOf(output);
        assert.equal(status.get("Seccomp"), "2");
        assert.equal(status.get("NoNewPrivs"), noNewPrivileges ? "1" : "0");
        assert.equal(status.get("CapPrm"), uid === 0 ? hex(kill) : hex());
        assert.match(output, /\nrefused\n$/);
      }
    }
    writeFileSync(filter, "1234");
    const odd = runProcess(module, {}, { filter });
    assert.match(
      odd.failure ?? "",
      /^invalid-argument seccomp filter .*: 4 bytes are no array of instructions$/,
    );
  });

  await test(
    "seccomp: nothing runs between the filter and execve",
    { skip: hasStrace ? false : "no strace" },
    () => {
      const filter = join(folder, "deny");
      const trace = join(folder, "trace");
      writeFileSync(filter, denyMkdir());
      const before = `os.execute("strace -q -o ${trace} -p " .. ffi.C.getpid() .. " & sleep 0.5")`;
      for (const noNewPrivileges of [true, false]) {
        assert.equal(runProcess(module, { noNewPrivileges }, { filter, before }).failure, undefined);
        const calls = readFileSync(trace, "utf8").split("\n");
        const loaded = calls.findIndex((call) => call.startsWith("seccomp("));
        assert.match(calls[loaded] ?? "", /= 0$/);
        assert.match(calls[loaded + 1] ?? "", /^execve\("\/usr\/bin\/true", .*= 0$/);
      }
    },
  );
});

function instruction(code: number, jt: number, jf: number, k: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(jt, 2);
  bytes.writeUInt8(jf, 3);
  bytes.writeUInt32LE(k, 4);
  return bytes;
}

/** mkdir and mkdirat fail with EPERM. */
function denyMkdir(): Buffer {
  const [mkdir, mkdirat] = process.arch === "arm64" ? [0xffff, 34] : [83, 258];
  return Buffer.concat([
    instruction(load, 0, 0, 0),
    instruction(jumpIfEqual, 1, 0, mkdir),
    instruction(jumpIfEqual, 0, 1, mkdirat),
    instruction(ret, 0, 0, errnoEperm),
    instruction(ret, 0, 0, allow),
  ]);
}
