import { type DeviceException, type DevicePolicy, accessBits } from "./devices.ts";

/**
 * One eBPF instruction, fields as in `struct bpf_insn`.
 *
 * @see https://docs.kernel.org/bpf/standardization/instruction-set.html
 */
export interface Instruction {
  readonly code: number;
  readonly target: number;
  readonly source: number;
  readonly offset: number;
  readonly immediate: number;
}

/** Bytes of an encoded instruction. */
export const instructionBytes = 8;

// struct bpf_cgroup_dev_ctx: access and type in one word, major, minor; r1 points at it.
const r0 = 0;
const r1 = 1;
const typeRegister = 2;
const accessRegister = 3;
const majorRegister = 4;
const minorRegister = 5;

const loadWord = 0x61;
const copyWord = 0xbc;
const moveImmediate = 0xb7;
const andImmediate = 0x54;
const shiftRightImmediate = 0x74;
const jumpIfEqual = 0x15;
const jumpIfNotEqual = 0x55;
const leave = 0x95;

const typeNumbers = { b: 1, c: 2 } as const;
const allAccess = accessBits.mknod | accessBits.read | accessBits.write;

/**
 * The program of type BPF_PROG_TYPE_CGROUP_DEVICE for a policy: returns 1 to allow, 0 to deny. Each exception is a
 * block of checks that jumps to the next one where it does not match.
 */
export function deviceProgram(policy: DevicePolicy): Instruction[] {
  const program: Instruction[] = [
    instruction(loadWord, typeRegister, r1, 0, 0),
    instruction(copyWord, accessRegister, typeRegister, 0, 0),
    instruction(andImmediate, typeRegister, 0, 0, 0xffff),
    instruction(shiftRightImmediate, accessRegister, 0, 0, 16),
    instruction(loadWord, majorRegister, r1, 4, 0),
    instruction(loadWord, minorRegister, r1, 8, 0),
  ];
  for (const exception of policy.exceptions) pushException(program, exception, policy.allowByDefault);
  pushVerdict(program, policy.allowByDefault);
  return program;
}

/**
 * An exception from "deny" must cover all of the wanted access, one from "allow" forbids on any overlap: the matching
 * of the v1 controller.
 */
function pushException(program: Instruction[], exception: DeviceException, allowByDefault: boolean): void {
  const { type, major, minor, access } = exception;
  const checks: Instruction[] = [instruction(jumpIfNotEqual, typeRegister, 0, 0, typeNumbers[type])];
  if (access !== allAccess) {
    const relevant = allowByDefault ? access : allAccess & ~access;
    checks.push(instruction(copyWord, r1, accessRegister, 0, 0));
    checks.push(instruction(andImmediate, r1, 0, 0, relevant));
    checks.push(instruction(allowByDefault ? jumpIfEqual : jumpIfNotEqual, r1, 0, 0, 0));
  }
  if (major !== undefined) checks.push(instruction(jumpIfNotEqual, majorRegister, 0, 0, major));
  if (minor !== undefined) checks.push(instruction(jumpIfNotEqual, minorRegister, 0, 0, minor));
  const verdictInstructions = 2;
  for (let index = 0; index < checks.length; index++) {
    const check = checks[index];
    if (check === undefined) continue;
    const jumps = check.code === jumpIfEqual || check.code === jumpIfNotEqual;
    const offset = checks.length - index - 1 + verdictInstructions;
    program.push(jumps ? { ...check, offset } : check);
  }
  pushVerdict(program, !allowByDefault);
}

function pushVerdict(program: Instruction[], allow: boolean): void {
  program.push(instruction(moveImmediate, r0, 0, 0, allow ? 1 : 0));
  program.push(instruction(leave, 0, 0, 0, 0));
}

function instruction(
  code: number,
  target: number,
  source: number,
  offset: number,
  immediate: number,
): Instruction {
  return { code, target, source, offset, immediate };
}

/** The bytes that bpf(2) takes, little-endian as all machines that this runs on. */
export function encodeProgram(program: readonly Instruction[]): number[] {
  const bytes: number[] = [];
  for (const { code, target, source, offset, immediate } of program) {
    bytes.push(code);
    bytes.push(target + source * 16);
    bytes.push(offset & 0xff);
    bytes.push((offset >> 8) & 0xff);
    for (const shift of [0, 8, 16, 24]) bytes.push((immediate >> shift) & 0xff);
  }
  return bytes;
}
