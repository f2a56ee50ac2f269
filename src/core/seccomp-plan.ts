import { RuntimeError } from "./errors.ts";
import type { SeccompAction, SeccompArg, SeccompRule, SpecSeccomp } from "./oci-runtime-spec.ts";
import { abis, directNumber, I386, newNumber, X32, X86_64 } from "./seccomp-calls.ts";
import { type Instruction, type NewerCalls, newerCallsPrefix } from "./seccomp-prefix.ts";

/** What the installed libseccomp knows of calls. */
export interface CallNames {
  /** The token of this machine's own ABI. */
  nativeAbi(this: void): number;
  /** A call's number on it; -1 for a name that is unknown, other negative numbers for calls of another ABI. */
  resolve(this: void, name: string): number;
  resolveOn(this: void, token: number, name: string): number;
}

/** One rule for libseccomp: a call, and conditions that must all hold. */
export interface PlannedRule {
  readonly name: string;
  readonly number: number;
  /** A SECCOMP_RET_ value, as libseccomp takes it too. */
  readonly action: number;
  readonly conditions: readonly SeccompArg[];
}

/** A profile, worked out: what libseccomp is to be told, and what goes in front of what it makes of that. */
export interface SeccompPlan {
  readonly defaultAction: number;
  /** For calls through an ABI that the profile leaves out. */
  readonly foreignAbiAction: number;
  /** Tokens of ABIs, this machine's own first. */
  readonly architectures: readonly number[];
  readonly rules: readonly PlannedRule[];
  readonly prefix: readonly Instruction[];
  /** Names of the profile that neither libseccomp nor this project knows: they are as if not written. */
  readonly unknownNames: readonly string[];
}

const EPERM = 1;
const ENOSYS = 38;

/** What a resolve gives for a name that libseccomp does not know. */
const NR_SCMP_ERROR = -1;

const socketcallOfSocket = { number: 102, firstArgument: 1 };

/** enum scmp_compare of seccomp.h. */
export const comparisons: Readonly<Record<SeccompArg["op"], number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

/**
 * Works a profile out, for the daemon and for the OCI command alike: pure but for what libseccomp is asked. Where the
 * profile refuses by default with an error, a call newer than every call that it names answers ENOSYS instead: its
 * author cannot have meant it, and a C library falls back on ENOSYS alone (runc does the same since 1.0-rc93). A default
 * of ENOSYS with rules for EPERM would not do: a rule without arguments swallows those with arguments for the same call.
 * Throws `invalid-argument` for a profile that cannot be compiled.
 */
export function planSeccomp(profile: SpecSeccomp, calls: CallNames): SeccompPlan {
  const defaultAction = actionValue(profile.defaultAction, profile.defaultErrnoRet);
  const architectures = architecturesOf(profile, calls);
  const rules: PlannedRule[] = [];
  const unresolved = (profile.syscalls ?? []).flatMap((rule) =>
    resolveRule(rule, defaultAction, calls, rules),
  );
  const prefix = newerCallsPrefix(
    architectures.map((token) => newerCalls(token, profile, unresolved, defaultAction, calls)),
  );
  const unknown = unresolved.map(({ name }) => name).filter((name) => newNumber(name, X86_64) === undefined);
  return {
    defaultAction,
    // Such calls do not exist, as on a kernel built without the ABI.
    foreignAbiAction: actionValue("SCMP_ACT_ERRNO", ENOSYS),
    architectures,
    rules,
    prefix,
    unknownNames: [...new Set(unknown)],
  };
}

/** The SECCOMP_RET_ value of an action (linux/seccomp.h); SCMP_ACT_NOTIFY is `invalid-argument`. */
function actionValue(action: SeccompAction, errnoRet = EPERM): number {
  switch (action) {
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_THREAD":
      return 0;
    case "SCMP_ACT_KILL_PROCESS":
      return 0x8000_0000;
    case "SCMP_ACT_TRAP":
      return 0x0003_0000;
    case "SCMP_ACT_ERRNO":
      return 0x0005_0000 | errnoRet;
    case "SCMP_ACT_TRACE":
      return 0x7ff0_0000 | errnoRet;
    case "SCMP_ACT_LOG":
      return 0x7ffc_0000;
    case "SCMP_ACT_ALLOW":
      return 0x7fff_0000;
    case "SCMP_ACT_NOTIFY":
      throw new RuntimeError("invalid-argument", "seccomp: SCMP_ACT_NOTIFY is not supported");
  }
}

interface UnresolvedRule {
  readonly name: string;
  readonly action: number;
  readonly hasArguments: boolean;
}

/** A rule for every name that libseccomp knows, into `rules`, and the others. */
function resolveRule(
  rule: SeccompRule,
  defaultAction: number,
  calls: CallNames,
  rules: PlannedRule[],
): readonly UnresolvedRule[] {
  const action = actionValue(rule.action, rule.errnoRet);
  const args = rule.args ?? [];
  const unresolved: UnresolvedRule[] = [];
  for (const name of rule.names) {
    const number = calls.resolve(name);
    if (number === NR_SCMP_ERROR) unresolved.push({ name, action, hasArguments: args.length > 0 });
    // libseccomp refuses a rule that says what the default does.
    else if (action !== defaultAction) {
      for (const conditions of conditionSets(args)) rules.push({ name, number, action, conditions });
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
  calls: CallNames,
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
  return isPlainRefusal(profile) ? { ...shared, newest: newestNumber(token, profile, calls) } : shared;
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
  return (
    socket.length > 0 &&
    !socket.some((rule) => isWhole(rule)) &&
    !opened("socketcall").some((rule) => isWhole(rule))
  );
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

function newestNumber(token: number, profile: SpecSeccomp, calls: CallNames): number {
  const names = (profile.syscalls ?? []).flatMap((rule) => rule.names);
  const numbers = names.map((name) => newNumber(name, token) ?? directNumber(calls.resolveOn(token, name)));
  return numbers.reduce((newest, number) => Math.max(newest, number), 0);
}

function architecturesOf(profile: SpecSeccomp, calls: CallNames): readonly number[] {
  const native = calls.nativeAbi();
  const own = abis.get(native);
  if (own === undefined) {
    throw new RuntimeError(
      "failed-precondition",
      `seccomp: this machine (${native.toString(16)}) is not supported`,
    );
  }
  // Profiles list the ABIs of every machine; the others cannot make a call here.
  const listed = (profile.architectures ?? []).flatMap((name) => {
    const token = own.get(name);
    return token === undefined ? [] : [token];
  });
  return [...new Set([native, ...listed])];
}
