import { createHash } from "node:crypto";
import { closeSync, fstatSync, readSync } from "node:fs";
import { RuntimeError } from "../core/errors.ts";
import type { SeccompArg, SeccompRule, SpecSeccomp } from "../core/oci-runtime-spec.ts";
import { SysError } from "./error.ts";
import { libc, type Pointer, SharedLibrary } from "./ffi.ts";
import { abis, directNumber, I386, newNumber, X32, X86_64 } from "./seccomp-calls.ts";
import { actionValue, encodeConditions, ENOSYS } from "./seccomp-encoding.ts";
import {
  encode,
  instructionBytes,
  maxInstructions,
  type NewerCalls,
  newerCallsPrefix,
} from "./seccomp-bpf.ts";

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

/** What a resolve gives for a name that libseccomp does not know; other negative numbers are calls of another ABI. */
const NR_SCMP_ERROR = -1;

const socketcallOfSocket = { number: 102, firstArgument: 1 };

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

/**
 * Compiles with libseccomp, then puts in front what libseccomp cannot say. Where the profile refuses by default with an error,
 * a call newer than every call that the profile names answers ENOSYS instead: its author cannot have meant it, and
 * a C library falls back on ENOSYS alone (runc does the same since 1.0-rc93). A default of ENOSYS with rules for EPERM would not do:
 * a rule without arguments swallows those with arguments for the same call.
 */
function compileSeccomp(profile: SpecSeccomp, key: string): SeccompFilter {
  const defaultAction = actionValue(profile.defaultAction, profile.defaultErrnoRet);
  const architectures = architecturesOf(profile);
  const rules = profile.syscalls ?? [];
  const { value: context } = init(defaultAction);
  try {
    // Calls through an ABI that the profile leaves out do not exist, as on a kernel built without it.
    check(
      "seccomp_attr_set",
      attrSet(context, SCMP_FLTATR_ACT_BADARCH, actionValue("SCMP_ACT_ERRNO", ENOSYS)).value,
    );
    check("seccomp_attr_set", attrSet(context, SCMP_FLTATR_CTL_OPTIMIZE, binaryTree).value);
    for (const token of architectures) {
      const { value } = archAdd(context, token);
      if (value !== -EEXIST) check("seccomp_arch_add", value);
    }
    const unresolved = rules.flatMap((rule) => addRule(context, rule, defaultAction));
    const prefix = newerCallsPrefix(
      architectures.map((token) => newerCalls(token, profile, unresolved, defaultAction)),
    );
    const bpf = Buffer.concat([encode(prefix), exported(context)]);
    if (bpf.length > maxInstructions * instructionBytes) {
      throw new RuntimeError(
        "invalid-argument",
        `seccomp: the filter has more than ${maxInstructions} instructions`,
      );
    }
    const unknownNames = unresolved
      .map(({ name }) => name)
      .filter((name) => newNumber(name, X86_64) === undefined);
    return { bpf, key, unknownNames: [...new Set(unknownNames)] };
  } finally {
    release(context);
  }
}

interface UnresolvedRule {
  readonly name: string;
  readonly action: number;
  readonly hasArguments: boolean;
}

/** Adds a rule for every name that libseccomp knows and gives back the others. */
function addRule(context: Pointer, rule: SeccompRule, defaultAction: number): readonly UnresolvedRule[] {
  const action = actionValue(rule.action, rule.errnoRet);
  const args = rule.args ?? [];
  const unresolved: UnresolvedRule[] = [];
  for (const name of rule.names) {
    const { value: number } = resolveName(name);
    if (number === NR_SCMP_ERROR) {
      unresolved.push({ name, action, hasArguments: args.length > 0 });
      continue;
    }
    // libseccomp refuses a rule that says what the default does.
    if (action === defaultAction) continue;
    for (const conditions of conditionSets(args)) {
      const { value } = ruleAdd(context, action, number, conditions.length, encodeConditions(conditions));
      if (value !== -EEXIST) check(`seccomp_rule_add ${name}`, value);
    }
  }
  return unresolved;
}

/** libseccomp takes an argument once a rule; as in runc, one that is compared twice makes each comparison a rule of its own. */
function conditionSets(args: readonly SeccompArg[]): readonly (readonly SeccompArg[])[] {
  const isRepeated = new Set(args.map(({ index }) => index)).size < args.length;
  return isRepeated ? args.map((argument) => [argument]) : [args];
}

function newerCalls(
  token: number,
  profile: SpecSeccomp,
  unresolved: readonly UnresolvedRule[],
  defaultAction: number,
): NewerCalls {
  const verdicts = new Map<number, number>();
  for (const { name, action, hasArguments } of unresolved) {
    const number = newNumber(name, token);
    if (number === undefined || action === defaultAction) continue;
    if (hasArguments) {
      throw new RuntimeError(
        "invalid-argument",
        `seccomp: ${name} is too new for this libseccomp to look at its arguments`,
      );
    }
    if (!verdicts.has(number)) verdicts.set(number, action);
  }
  const shared = {
    auditArch: token === X32 ? X86_64 : token,
    isX32: token === X32,
    verdicts,
    ...(token === I386 && hidesSocket(profile) ? { refused: socketcallOfSocket } : {}),
  };
  return isPlainRefusal(profile) ? { ...shared, newest: newestNumber(token, profile) } : shared;
}

/**
 * socketcall(2) of 32-bit x86 keeps socket's arguments in memory, out of a filter's sight, and libseccomp lets it pass where
 * any rule allows socket(2) on a condition. A profile with conditions means them, unless it opens socketcall whole itself.
 */
function hidesSocket({ syscalls = [] }: SpecSeccomp): boolean {
  const opened = (name: string): readonly SeccompRule[] =>
    syscalls.filter(({ names, action }) => action === "SCMP_ACT_ALLOW" && names.includes(name));
  const isWhole = ({ args = [] }: SeccompRule): boolean => args.length === 0;
  const socket = opened("socket");
  return socket.length > 0 && !socket.some(isWhole) && !opened("socketcall").some(isWhole);
}

function isPlainRefusal({ defaultAction, defaultErrnoRet }: SpecSeccomp): boolean {
  switch (defaultAction) {
    case "SCMP_ACT_ERRNO":
      return defaultErrnoRet !== ENOSYS;
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_THREAD":
    case "SCMP_ACT_KILL_PROCESS":
    case "SCMP_ACT_TRAP":
      return true;
    default:
      return false;
  }
}

function newestNumber(token: number, profile: SpecSeccomp): number {
  const names = (profile.syscalls ?? []).flatMap((rule) => rule.names);
  const numbers = names.map(
    (name) => newNumber(name, token) ?? directNumber(resolveNameOn(token, name).value),
  );
  return numbers.reduce((newest, number) => Math.max(newest, number), 0);
}

function architecturesOf(profile: SpecSeccomp): readonly number[] {
  const native = archNative().value;
  const own = abis[native];
  if (own === undefined) {
    throw new RuntimeError(
      "failed-precondition",
      `seccomp: this machine (${native.toString(16)}) is not supported`,
    );
  }
  // Profiles list the ABIs of every machine; the others cannot make a call here.
  const listed = (profile.architectures ?? []).flatMap((name) =>
    Object.hasOwn(own, name) ? (own[name] ?? []) : [],
  );
  return [...new Set([native, ...listed])];
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
