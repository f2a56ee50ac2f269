import { RuntimeError } from "../core/errors.ts";
import type { SeccompAction, SeccompArg } from "../core/oci-runtime-spec.ts";

const EPERM = 1;
export const ENOSYS = 38;

const comparisons: Readonly<Record<SeccompArg["op"], number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

/** An array of `struct scmp_arg_cmp`: argument, operator, two 64-bit values. */
export function encodeConditions(conditions: readonly SeccompArg[]): Buffer | null {
  if (conditions.length === 0) return null;
  const bytes = Buffer.alloc(24 * conditions.length);
  for (const [at, { index, op, value, valueTwo }] of conditions.entries()) {
    bytes.writeUInt32LE(index, 24 * at);
    bytes.writeUInt32LE(comparisons[op], 24 * at + 4);
    bytes.writeBigUInt64LE(BigInt(value), 24 * at + 8);
    bytes.writeBigUInt64LE(BigInt(valueTwo ?? 0), 24 * at + 16);
  }
  return bytes;
}

/** The SECCOMP_RET_ value of an action (linux/seccomp.h); SCMP_ACT_NOTIFY is `invalid-argument`. */
export function actionValue(action: SeccompAction, errnoRet = EPERM): number {
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
