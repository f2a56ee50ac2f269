import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import type { SpecSeccomp } from "../core/oci-runtime-spec.ts";
import { verdict } from "../../test/fakes/bpf.ts";
import { createSeccompCompiler, maxCachedFilters } from "./seccomp.ts";

const x86_64 = 0xc000_003e;
const i386 = 0x4000_0003;
const onX64 = process.arch === "x64" ? {} : { skip: "the numbers are those of x86-64" };

const ALLOW = 0x7fff_0000;
const errno = (number: number): number => 0x0005_0000 | number;

function compile(profile: Partial<SpecSeccomp>): Buffer {
  return createSeccompCompiler().compile({
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    ...profile,
  }).bpf;
}

test("seccomp: by name, by argument, by ABI", onX64, () => {
  const bpf = compile({
    defaultErrnoRet: 13,
    syscalls: [
      { names: ["getpid", "cachestat", "uretprobe"], action: "SCMP_ACT_ALLOW" },
      { names: ["dup"], action: "SCMP_ACT_ERRNO", errnoRet: 5 },
      {
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value: 0x7e02_0000, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
      { names: ["personality"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 8, op: "SCMP_CMP_EQ" }] },
    ],
  });
  const x32 = 0x4000_0000;
  const cases: readonly (readonly [string, number, number, readonly (number | bigint)[], number])[] = [
    ["getpid", x86_64, 39, [], ALLOW],
    ["getpid of i386", i386, 20, [], ALLOW],
    ["getpid of x32", x86_64, x32 + 39, [], ALLOW],
    ["a rule's own errno", x86_64, 32, [], errno(5)],
    ["not named", x86_64, 0, [], errno(13)],
    ["clone without namespaces", x86_64, 56, [0x11], ALLOW],
    ["clone with a namespace", x86_64, 56, [0x1000_0011], errno(13)],
    ["personality 8", x86_64, 135, [8], ALLOW],
    ["personality 0", x86_64, 135, [0], errno(13)],
    ["personality with high bits", x86_64, 135, [0x1_0000_0008n], errno(13)],
    ["newer than libseccomp", x86_64, 451, [], ALLOW],
    ["newer than libseccomp, i386", i386, 451, [], ALLOW],
    ["newer than libseccomp, x32", x86_64, x32 + 451, [], ALLOW],
    ["only on x86-64", x86_64, 335, [], ALLOW],
    ["another call there on i386", i386, 335, [], errno(13)],
    ["newer than the profile", x86_64, 452, [], errno(38)],
    ["newer than the profile, i386", i386, 9999, [], errno(38)],
    ["newer than the profile, x32", x86_64, x32 + 547, [], errno(38)],
    ["an ABI that is not listed", 0xc000_00b7, 39, [], errno(38)],
  ];
  for (const [name, arch, number, args, expected] of cases) {
    assert.equal(verdict(bpf, arch, number, args).toString(16), expected.toString(16), name);
  }
});

test("seccomp: only a profile that refuses by default answers ENOSYS", onX64, () => {
  const newer = 9999;
  const table: readonly (readonly [Partial<SpecSeccomp>, number])[] = [
    [{ defaultAction: "SCMP_ACT_ALLOW" }, ALLOW],
    [{ defaultAction: "SCMP_ACT_LOG" }, 0x7ffc_0000],
    [{ defaultAction: "SCMP_ACT_KILL_PROCESS" }, errno(38)],
    [{ defaultAction: "SCMP_ACT_ERRNO" }, errno(38)],
  ];
  for (const [profile, expected] of table) {
    const syscalls = [{ names: ["getpid"], action: "SCMP_ACT_TRAP" as const }];
    assert.equal(
      verdict(compile({ ...profile, syscalls }), x86_64, newer),
      expected,
      String(profile.defaultAction),
    );
  }
});

test("seccomp: a deny list reaches calls that libseccomp has no name for", onX64, () => {
  const bpf = compile({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mseal", "mount"], action: "SCMP_ACT_ERRNO" }],
  });
  assert.equal(verdict(bpf, x86_64, 462), errno(1));
  assert.equal(verdict(bpf, x86_64, 165), errno(1));
  assert.equal(verdict(bpf, x86_64, 463), ALLOW);
});

test("seccomp: an argument compared twice is two rules, as in runc", onX64, () => {
  const bpf = compile({
    syscalls: [
      {
        names: ["dup"],
        action: "SCMP_ACT_ALLOW",
        args: [
          { index: 0, value: 1, op: "SCMP_CMP_EQ" },
          { index: 0, value: 2, op: "SCMP_CMP_EQ" },
        ],
      },
    ],
  });
  assert.deepEqual(
    [1, 2, 3].map((fd) => verdict(bpf, x86_64, 32, [fd])),
    [ALLOW, ALLOW, errno(1)],
  );
});

test("seccomp: socketcall is not opened by rules for socket", onX64, () => {
  const bpf = compile({
    syscalls: [
      { names: ["socket"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 38, op: "SCMP_CMP_LT" }] },
      { names: ["socketcall"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 1, op: "SCMP_CMP_GT" }] },
    ],
  });
  assert.equal(verdict(bpf, x86_64, 41, [2]), ALLOW);
  assert.equal(verdict(bpf, x86_64, 41, [38]), errno(1));
  assert.equal(verdict(bpf, i386, 359, [2]), ALLOW, "socket of i386");
  assert.equal(verdict(bpf, i386, 359, [38]), errno(1), "socket of i386, AF_ALG");
  assert.notEqual(verdict(bpf, i386, 102, [1]), ALLOW, "socketcall(SYS_SOCKET)");
  assert.equal(verdict(bpf, i386, 102, [3]), ALLOW, "socketcall(SYS_CONNECT)");
});

test("seccomp: what cannot be compiled is refused by name, what is unknown is told", () => {
  const compiler = createSeccompCompiler();
  assert.throws(
    () => compiler.compile({ defaultAction: "SCMP_ACT_NOTIFY" }),
    (error) => hasCode(error, "invalid-argument") && error.message.includes("SCMP_ACT_NOTIFY"),
  );
  const filter = compiler.compile({
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_MIPS"],
    syscalls: [{ names: ["no_such_call", "mseal"], action: "SCMP_ACT_ERRNO" }],
  });
  assert.deepEqual(filter.unknownNames, ["no_such_call"]);
});

test("seccomp: one compilation a profile, the cache has a limit", () => {
  const compiler = createSeccompCompiler();
  const profile = (errnoRet: number): SpecSeccomp => ({
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: errnoRet,
  });
  const first = compiler.compile(profile(1));
  assert.equal(compiler.compile(profile(1)), first);
  for (let other = 2; other <= maxCachedFilters + 1; other += 1) compiler.compile(profile(other));
  assert.notEqual(compiler.compile(profile(1)), first);
  assert.deepEqual(compiler.compile(profile(1)).bpf, first.bpf);
});

/** Loads the filter into its own process and prints what the kernel answers. */
const child = `
  local ffi = require("ffi")
  ffi.cdef[[
    struct sock_fprog { unsigned short len; const void *filter; };
    long syscall(long number, ...);
    int prctl(int option, ...);
    char *strerror(int number);
  ]]
  local file = assert(io.open(arg[1], "rb"))
  local text = file:read("*a")
  local program = ffi.new("struct sock_fprog", #text / 8, ffi.cast("const void *", text))
  local long = function(value) return ffi.cast("long", value) end
  assert(ffi.C.prctl(38, long(1), long(0), long(0), long(0)) == 0)
  assert(ffi.C.syscall(317, long(1), long(0), program) == 0, "seccomp")
  local call = function(number, first)
    local result = ffi.C.syscall(number, long(first), long(0), long(0), long(0), long(0))
    return result >= 0 and 0 or ffi.errno()
  end
  print(call(39, 0), call(41, 38), call(135, 8), call(272, 0x10000000), call(435, 0), call(9999, 0))
`;

test("seccomp: the kernel takes the filter and answers as computed", onX64, (context) => {
  const folder = mkdtempSync(join(tmpdir(), "berth-seccomp-"));
  try {
    const bpf = compile({
      syscalls: [
        {
          names:
            "read write fstat newfstatat mmap munmap brk exit_group close getpid rt_sigaction mprotect".split(
              " ",
            ),
          action: "SCMP_ACT_ALLOW",
        },
        { names: ["socket"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 38, op: "SCMP_CMP_LT" }] },
        { names: ["personality"], action: "SCMP_ACT_ERRNO", errnoRet: 7 },
        { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
        { names: ["mseal"], action: "SCMP_ACT_ALLOW" },
      ],
    });
    writeFileSync(join(folder, "filter"), bpf);
    writeFileSync(join(folder, "child.lua"), child);
    const result = spawnSync("luajit", ["-joff", join(folder, "child.lua"), join(folder, "filter")], {
      encoding: "utf8",
    });
    if (result.error !== undefined) {
      context.skip(`luajit does not run: ${result.error.message}`);
      return;
    }
    assert.equal(result.stdout.trim().replaceAll(/\s+/g, " "), "0 1 7 1 38 38", result.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
