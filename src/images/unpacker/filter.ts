import * as ffi from "ffi";
import type { Struct } from "ffi";
import { failErrno, libc, long } from "./libc.ts";

interface Architecture {
  /** AUDIT_ARCH_* of linux/audit.h. */
  readonly audit: number;
  readonly pivotRoot: number;
  readonly capget: number;
  readonly capset: number;
  readonly seccomp: number;
  readonly openat2: number;
  /** O_DIRECTORY and O_NOFOLLOW, which are not the same everywhere. */
  readonly openFlags: { readonly directory: number; readonly noFollow: number };
  /** Numbers of the calls that unpacking and packing make. */
  readonly calls: readonly number[];
}

// read write close lseek mmap mprotect munmap brk rt_sigprocmask rt_sigreturn writev mremap madvise exit exit_group
// futex getdents64 clock_gettime openat mkdirat mknodat fchownat unlinkat linkat symlinkat readlinkat fchmodat
// newfstatat fstat utimensat fchown fchmod ftruncate fsetxattr lsetxattr syncfs getrandom
// statx openat2 fchdir llistxattr lgetxattr copy_file_range
const architectures: Record<string, Architecture> = {
  x64: {
    audit: 0xc000003e,
    pivotRoot: 155,
    capget: 125,
    capset: 126,
    seccomp: 317,
    openat2: 437,
    openFlags: { directory: 0o200000, noFollow: 0o400000 },
    calls: [
      0, 1, 3, 8, 9, 10, 11, 12, 14, 15, 20, 25, 28, 60, 231, 202, 217, 228, 257, 258, 259, 260, 263, 265,
      266, 267, 268, 262, 5, 280, 93, 91, 77, 190, 189, 306, 318, 332, 437, 81, 195, 192, 326,
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    pivotRoot: 41,
    capget: 90,
    capset: 91,
    seccomp: 277,
    openat2: 437,
    openFlags: { directory: 0o40000, noFollow: 0o100000 },
    calls: [
      63, 64, 57, 62, 222, 226, 215, 214, 135, 139, 66, 216, 233, 93, 94, 98, 61, 113, 56, 34, 33, 54, 35, 37,
      36, 78, 53, 79, 80, 88, 55, 52, 46, 7, 6, 267, 278, 291, 437, 50, 12, 9, 285,
    ],
  },
};

/** Syscall numbers of this machine; an architecture without a table is refused by name. */
export function thisArchitecture(): Architecture {
  const found = architectures[jit.arch];
  if (found === undefined) return error(`no table of system calls for ${jit.arch}`, 0);
  return found;
}

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

const bpf = { loadWord: 0x20, jumpIfEqual: 0x15, ret: 0x06 };
const seccomp = { allow: 0x7fff0000, killProcess: 0x80000000, errnoEperm: 0x00050001 };

/**
 * Leaves the process nothing but calls on files below its root: no sockets, no mounts, no namespaces, no execve. Any
 * other call answers EPERM (seccomp(2)).
 */
export function loadFilter(architecture: Architecture): void {
  const program: Instruction[] = [
    // seccomp_data: nr at 0, arch at 4.
    { code: bpf.loadWord, jt: 0, jf: 0, k: 4 },
    { code: bpf.jumpIfEqual, jt: 1, jf: 0, k: architecture.audit },
    { code: bpf.ret, jt: 0, jf: 0, k: seccomp.killProcess },
    { code: bpf.loadWord, jt: 0, jf: 0, k: 0 },
  ];
  const calls = architecture.calls;
  calls.forEach((call, index) => {
    program.push({ code: bpf.jumpIfEqual, jt: calls.length - index, jf: 0, k: call });
  });
  program.push({ code: bpf.ret, jt: 0, jf: 0, k: seccomp.errnoEperm });
  program.push({ code: bpf.ret, jt: 0, jf: 0, k: seccomp.allow });
  const filter = ffi.new(`berth_bpf[${program.length}]`) as Record<number, Instruction>;
  program.forEach((instruction, index) => {
    const slot = filter[index];
    if (slot !== undefined) Object.assign(slot, instruction);
  });
  const header = ffi.new("berth_bpf_program", program.length, filter) as Struct<"berth_bpf_program">;
  // SECCOMP_SET_MODE_FILTER, no flags.
  if (libc.syscall(long(architecture.seccomp), long(1), long(0), header) !== 0)
    failErrno("load the seccomp filter");
}
