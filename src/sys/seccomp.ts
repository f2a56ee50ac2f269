import { createHash } from "node:crypto";
import { closeSync, fstatSync, readSync } from "node:fs";
import { RuntimeError } from "../core/errors.ts";
import type { SpecSeccomp } from "../core/oci-runtime-spec.ts";
import { type CallNames, planSeccomp } from "../core/seccomp-plan.ts";
import { instructionBytes, maxInstructions } from "../core/seccomp-prefix.ts";
import { SysError } from "./error.ts";
import { libc, type Pointer, SharedLibrary } from "./ffi.ts";
import { encodeConditions, encodeInstructions } from "./seccomp-encoding.ts";

/** A filter as seccomp(2) loads it. */
export interface SeccompFilter {
  /** An array of `struct sock_filter`. */
  readonly bpf: Buffer;
  /** Hex SHA-256 of the profile: the same profile is the same filter. */
  readonly key: string;
  /** Names of the profile that neither libseccomp nor this project knows: they are as if not written. */
  readonly unknownNames: readonly string[];
}

/** Compiles profiles, keeping the latest {@link maxCachedFilters}. */
export interface SeccompCompiler {
  /** Throws `invalid-argument` for a profile that cannot be compiled, `failed-precondition` without libseccomp. */
  compile(profile: SpecSeccomp): SeccompFilter;
}

/** Filters of different profiles kept; one has some 8 KiB. */
export const maxCachedFilters = 64;

const libseccomp = new SharedLibrary("libseccomp.so.2", "libseccomp2");
const init = libseccomp.function("seccomp_init", ["u32"], "pointer");
const release = libseccomp.function("seccomp_release", ["pointer"], "void");
const archAdd = libseccomp.function("seccomp_arch_add", ["pointer", "u32"], "i32");
const archNative = libseccomp.function("seccomp_arch_native", [], "u32");
const attrSet = libseccomp.function("seccomp_attr_set", ["pointer", "i32", "u32"], "i32");
const resolveName = libseccomp.function("seccomp_syscall_resolve_name", ["text"], "i32");
const resolveNameOn = libseccomp.function("seccomp_syscall_resolve_name_arch", ["u32", "text"], "i32");
const ruleAdd = libseccomp.function(
  "seccomp_rule_add_array",
  ["pointer", "u32", "i32", "u32", "bytes"],
  "i32",
);
const exportBpf = libseccomp.function("seccomp_export_bpf", ["pointer", "i32"], "i32");
const memfdCreate = libc.function("memfd_create", ["text", "u32"], "i32");

const MFD_CLOEXEC = 1;
const EEXIST = 17;

/** enum scmp_filter_attr of seccomp.h. */
const SCMP_FLTATR_ACT_BADARCH = 2;
const SCMP_FLTATR_CTL_OPTIMIZE = 8;
const binaryTree = 2;

const callNames: CallNames = {
  nativeAbi: () => archNative().value,
  resolve: (name) => resolveName(name).value,
  resolveOn: (token, name) => resolveNameOn(token, name).value,
};

/** Loads libseccomp, so that a start-up check can tell that it is missing. */
export function openLibseccomp(): void {
  libseccomp.open();
}

/** A compiler with a cache of its own. */
export function createSeccompCompiler(): SeccompCompiler {
  const cache = new Map<string, SeccompFilter>();
  return {
    compile: (profile) => {
      const key = createHash("sha256").update(JSON.stringify(profile)).digest("hex");
      const filter = cache.get(key) ?? compileSeccomp(profile, key);
      // Map keeps the order of insertion: the first is the one least lately used.
      cache.delete(key);
      cache.set(key, filter);
      const [oldest] = cache.keys();
      if (cache.size > maxCachedFilters && oldest !== undefined) cache.delete(oldest);
      return filter;
    },
  };
}

/** Compiles with libseccomp what was planned, and puts in front what libseccomp cannot say. */
function compileSeccomp(profile: SpecSeccomp, key: string): SeccompFilter {
  const plan = planSeccomp(profile, callNames);
  const { value: context } = init(plan.defaultAction);
  try {
    check("seccomp_attr_set", attrSet(context, SCMP_FLTATR_ACT_BADARCH, plan.foreignAbiAction).value);
    check("seccomp_attr_set", attrSet(context, SCMP_FLTATR_CTL_OPTIMIZE, binaryTree).value);
    for (const token of plan.architectures) {
      const { value } = archAdd(context, token);
      if (value !== -EEXIST) check("seccomp_arch_add", value);
    }
    for (const { name, number, action, conditions } of plan.rules) {
      const { value } = ruleAdd(context, action, number, conditions.length, encodeConditions(conditions));
      if (value !== -EEXIST) check(`seccomp_rule_add ${name}`, value);
    }
    const bpf = Buffer.concat([encodeInstructions(plan.prefix), exported(context)]);
    if (bpf.length > maxInstructions * instructionBytes) {
      throw new RuntimeError(
        "invalid-argument",
        `seccomp: the filter has more than ${maxInstructions} instructions`,
      );
    }
    return { bpf, key, unknownNames: plan.unknownNames };
  } finally {
    release(context);
  }
}

function exported(context: Pointer): Buffer {
  const { value: fd, errno } = memfdCreate("berth-seccomp", MFD_CLOEXEC);
  if (fd === -1) throw new SysError("memfd_create", errno);
  try {
    check("seccomp_export_bpf", exportBpf(context, fd).value);
    const bytes = Buffer.alloc(fstatSync(fd).size);
    const length = readSync(fd, bytes, 0, bytes.length, 0);
    if (length !== bytes.length) throw new RuntimeError("internal", "seccomp_export_bpf: short read");
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** libseccomp gives a negative errno. */
function check(call: string, result: number): void {
  if (result < 0) throw new SysError(call, -result);
}
