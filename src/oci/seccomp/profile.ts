import type { SeccompAction, SeccompArg, SeccompRule, SpecSeccomp } from "../../core/oci-runtime-spec.ts";

/** Architectures by Node's names. */
export type MachineArch = "x64" | "arm64";

/** A kernel's version, as far as profiles tell versions apart. */
export interface KernelRelease {
  readonly major: number;
  readonly minor: number;
}

/** When a rule is in force; what is absent does not matter. */
export interface RuleCondition {
  /** The container has every one of these in its bounding set. */
  readonly capabilities?: readonly string[];
  readonly arches?: readonly MachineArch[];
  readonly minKernel?: KernelRelease;
}

/** A rule of a profile: what to do with these calls, with these arguments, under these conditions. */
export interface ProfileRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
  /** All of it must hold. */
  readonly only?: RuleCondition;
  /** None of it may hold; of the capabilities, not one. */
  readonly unless?: RuleCondition;
}

/** A seccomp profile that does not know yet which container it is for. */
export interface SeccompProfile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  /** The ABIs that may make calls, by machine. */
  readonly architectures: Readonly<Record<MachineArch, readonly string[]>>;
  readonly flags: readonly string[];
  readonly rules: readonly ProfileRule[];
}

/** What a profile's conditions are held against. */
export interface ProfileTarget {
  /** The container's bounding set. */
  readonly bounding: readonly string[];
  readonly arch: MachineArch;
  readonly kernel: KernelRelease;
}

/** The profile for one container, as the OCI runtime spec has it. */
export function applyProfile(profile: SeccompProfile, target: ProfileTarget): SpecSeccomp {
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: profile.architectures[target.arch],
    ...(profile.flags.length === 0 ? {} : { flags: profile.flags }),
    syscalls: profile.rules.filter((rule) => isInForce(rule, target)).map(specRule),
  };
}

function specRule(rule: ProfileRule): SeccompRule {
  return {
    names: rule.names,
    action: rule.action,
    ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args === undefined || rule.args.length === 0 ? {} : { args: rule.args }),
  };
}

function isInForce({ only = {}, unless = {} }: ProfileRule, target: ProfileTarget): boolean {
  const has = (capability: string): boolean => target.bounding.includes(capability);
  const isMet =
    (only.capabilities ?? []).every(has) &&
    (only.arches?.includes(target.arch) ?? true) &&
    (only.minKernel === undefined || isAtLeast(target.kernel, only.minKernel));
  const isExcluded =
    (unless.capabilities ?? []).some(has) ||
    (unless.arches?.includes(target.arch) ?? false) ||
    (unless.minKernel !== undefined && isAtLeast(target.kernel, unless.minKernel));
  return isMet && !isExcluded;
}

function isAtLeast(kernel: KernelRelease, least: KernelRelease): boolean {
  return kernel.major > least.major || (kernel.major === least.major && kernel.minor >= least.minor);
}
