import type { SeccompArg } from "../../core/oci-runtime-spec.ts";
import { callsByCapability, harmlessCalls, machineCalls } from "./default-calls.ts";
import type { ProfileRule, SeccompProfile } from "./profile.ts";

const ENOSYS = 38;

/** Every namespace flag of clone(2) but CLONE_NEWTIME, whose bit is part of clone's exit signal. */
const namespaceFlags = 0x7e02_0000;

/** personality(2): PER_LINUX, PER_LINUX32, each with and without UNAME26, and the value that asks without setting. */
const personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/** Address families of socket(2) whose code has let containers out: the kernel's crypto API, and the hypervisor's. */
const AF_ALG = 38;
const AF_VSOCK = 40;

/** The first argument of socketcall(2) that stands for socket(2). */
const SYS_SOCKET = 1;

/**
 * What RuntimeDefault means: an allow list with the effect of containerd 2's and Docker's. What is not on it answers EPERM,
 * but a call newer than any in the list ENOSYS, so that libraries fall back to what they used before: the compiler in
 * src/sys sees to that for every profile that refuses by default.
 */
export const defaultProfile: SeccompProfile = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  architectures: {
    x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
  },
  flags: [],
  rules: [
    allow(Object.values(harmlessCalls).flat()),
    { ...allow(machineCalls.x64), only: { arches: ["x64"] } },
    { ...allow(machineCalls.arm64), only: { arches: ["arm64"] } },
    ...Object.entries(callsByCapability).map(([capability, names]) => ({
      ...allow(names),
      only: { capabilities: [capability] },
    })),
    ...cloneRules(),
    ...personalities.map((value) => allow(["personality"], [{ index: 0, value, op: "SCMP_CMP_EQ" }])),
    ...socketRules(),
  ],
};

/** Threads and processes, yes; namespaces, no. Of clone3 the flags lie in memory, out of a filter's sight: ENOSYS makes libc use clone. */
function cloneRules(): readonly ProfileRule[] {
  const unless = { capabilities: ["CAP_SYS_ADMIN"] };
  const noFlags: SeccompArg = { index: 0, value: namespaceFlags, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" };
  return [
    { ...allow(["clone"], [noFlags]), unless },
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS, unless },
  ];
}

/**
 * Any family but AF_ALG and AF_VSOCK, as three ranges of one condition each: libseccomp takes an argument once a rule.
 * socketcall(2), the old way into sockets of 32-bit x86, hides the family in memory, so its socket() is refused; what
 * is left of it works on sockets that came about otherwise. 32-bit C libraries since Linux 4.3 call socket(2).
 */
function socketRules(): readonly ProfileRule[] {
  return [
    allow(["socket"], [{ index: 0, value: AF_ALG, op: "SCMP_CMP_LT" }]),
    allow(["socket"], [{ index: 0, value: AF_ALG + 1, op: "SCMP_CMP_EQ" }]),
    allow(["socket"], [{ index: 0, value: AF_VSOCK, op: "SCMP_CMP_GT" }]),
    allow(["socketcall"], [{ index: 0, value: SYS_SOCKET, op: "SCMP_CMP_GT" }]),
  ];
}

function allow(names: readonly string[], args?: readonly SeccompArg[]): ProfileRule {
  return { names, action: "SCMP_ACT_ALLOW", ...(args === undefined ? {} : { args }) };
}
