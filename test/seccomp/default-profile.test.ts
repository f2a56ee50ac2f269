import assert from "node:assert/strict";
import { test } from "node:test";
import { applyProfile, defaultProfile } from "../../src/oci/index.ts";
import { createSeccompCompiler } from "../../src/sys/index.ts";
import { verdict } from "../fakes/bpf.ts";

const x86_64 = 0xc000_003e;
const i386 = 0x4000_0003;
const x32 = 0x4000_0000;
const allow = "7fff0000";
const eperm = "50001";
const enosys = "50026";

type Call = readonly [name: string, arch: number, number: number, args: readonly number[], expected: string];

function check(bounding: readonly string[], calls: readonly Call[]): void {
  const target = { bounding, arch: "x64" as const, kernel: { major: 6, minor: 1 } };
  const { bpf, unknownNames } = createSeccompCompiler().compile(applyProfile(defaultProfile, target));
  assert.deepEqual(unknownNames, []);
  for (const [name, arch, number, args, expected] of calls) {
    assert.equal(verdict(bpf, arch, number, args).toString(16), expected, name);
  }
}

const onX64 = process.arch === "x64" ? {} : { skip: "the numbers are those of x86-64" };

test("default profile: a container without capabilities", onX64, () => {
  check(
    [],
    [
      ["read", x86_64, 0, [], allow],
      ["execve", x86_64, 59, [], allow],
      ["execve of i386", i386, 11, [], allow],
      ["execve of x32", x86_64, x32 + 520, [], allow],
      ["ptrace", x86_64, 101, [], allow],
      ["mseal, newer than libseccomp 2.5", x86_64, 462, [], allow],
      ["clone of a thread", x86_64, 56, [0x3d_0f00], allow],
      ["clone with CLONE_NEWUSER", x86_64, 56, [0x1000_0000], eperm],
      ["clone with CLONE_NEWNET and more", x86_64, 56, [0x4000_0011], eperm],
      ["clone of i386 with CLONE_NEWNS", i386, 120, [0x2_0000], eperm],
      ["clone3", x86_64, 435, [], enosys],
      ["unshare", x86_64, 272, [], eperm],
      ["setns", x86_64, 308, [], eperm],
      ["mount", x86_64, 165, [], eperm],
      ["bpf", x86_64, 321, [], eperm],
      ["keyctl", x86_64, 250, [], eperm],
      ["add_key", x86_64, 248, [], eperm],
      ["userfaultfd", x86_64, 323, [], eperm],
      ["io_uring_setup", x86_64, 425, [], eperm],
      ["kexec_load", x86_64, 246, [], eperm],
      ["chroot", x86_64, 161, [], eperm],
      ["open_tree_attr, newer than the profile", x86_64, 467, [], enosys],
      ["newer than everything", x86_64, 9999, [], enosys],
      ["newer than everything, i386", i386, 9999, [], enosys],
      ["personality PER_LINUX", x86_64, 135, [0], allow],
      ["personality asked", x86_64, 135, [0xffff_ffff], allow],
      ["personality ADDR_NO_RANDOMIZE", x86_64, 135, [0x4_0000], eperm],
      ["socket AF_INET", x86_64, 41, [2], allow],
      ["socket AF_ALG", x86_64, 41, [38], eperm],
      ["socket AF_NFC", x86_64, 41, [39], allow],
      ["socket AF_VSOCK", x86_64, 41, [40], eperm],
      ["socket AF_XDP", x86_64, 41, [44], allow],
      ["socket AF_ALG of i386", i386, 359, [38], eperm],
      ["socket AF_INET of i386", i386, 359, [2], allow],
      ["socketcall socket, which could be AF_ALG", i386, 102, [1], enosys],
      ["socketcall connect", i386, 102, [3], allow],
      ["getpid of arm64", 0xc000_00b7, 172, [], enosys],
    ],
  );
});

test("default profile: capabilities open calls", onX64, () => {
  check(
    ["CAP_SYS_ADMIN"],
    [
      ["clone with CLONE_NEWUSER", x86_64, 56, [0x1000_0000], allow],
      ["clone3", x86_64, 435, [], allow],
      ["unshare", x86_64, 272, [], allow],
      ["mount", x86_64, 165, [], allow],
      ["socket AF_ALG", x86_64, 41, [38], eperm],
      ["chroot", x86_64, 161, [], eperm],
      ["init_module", x86_64, 175, [], eperm],
    ],
  );
  check(
    ["CAP_SYS_CHROOT", "CAP_SYS_TIME", "CAP_SYS_NICE", "CAP_SYS_MODULE"],
    [
      ["chroot", x86_64, 161, [], allow],
      ["clock_settime", x86_64, 227, [], allow],
      ["set_mempolicy", x86_64, 238, [], allow],
      ["finit_module", x86_64, 313, [], allow],
      ["clone with CLONE_NEWUSER", x86_64, 56, [0x1000_0000], eperm],
    ],
  );
});
