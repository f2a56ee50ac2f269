import type { SeccompArg } from "../core/oci-runtime-spec.ts";
import { comparisons } from "../core/seccomp-plan.ts";
import { type Instruction, instructionBytes } from "../core/seccomp-prefix.ts";

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

/** A program's bytes, little-endian as all machines of this project. */
export function encodeInstructions(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(instructions.length * instructionBytes);
  for (const [index, { code, jt, jf, k }] of instructions.entries()) {
    const at = index * instructionBytes;
    bytes.writeUInt16LE(code, at);
    bytes.writeUInt8(jt, at + 2);
    bytes.writeUInt8(jf, at + 3);
    bytes.writeUInt32LE(k >>> 0, at + 4);
  }
  return bytes;
}
