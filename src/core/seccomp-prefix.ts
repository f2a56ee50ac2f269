/** One instruction of a classic BPF program, `struct sock_filter` of linux/filter.h. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

/** What goes before a compiled filter for one ABI. */
export interface NewerCalls {
  /** AUDIT_ARCH_ of linux/audit.h: x32 has that of x86-64. */
  readonly auditArch: number;
  readonly isX32: boolean;
  /** Calls that libseccomp does not know, by number, and the SECCOMP_RET_ value for each. */
  readonly verdicts: ReadonlyMap<number, number>;
  /** A call that answers ENOSYS where its first argument is this. */
  readonly refused?: { readonly number: number; readonly firstArgument: number };
  /** Calls above this number answer ENOSYS; absent leaves them to the filter. */
  readonly newest?: number;
}

/** BPF_MAXINSNS of linux/bpf_common.h. */
export const maxInstructions = 4096;
/** Bytes of a `struct sock_filter`. */
export const instructionBytes = 8;

const X32_BIT = 0x4000_0000;
const SECCOMP_RET_ENOSYS = 0x0005_0000 | 38;
/** Offsets in `struct seccomp_data`. */
const offsetOfNumber = 0;
const offsetOfArch = 4;
const offsetOfFirstArgument = 16;

const load = (k: number): Instruction => ({ code: 0x20, jt: 0, jf: 0, k });
const answer = (k: number): Instruction => ({ code: 0x06, jt: 0, jf: 0, k });
const jump = (k: number): Instruction => ({ code: 0x05, jt: 0, jf: 0, k });
const ifEqual = (k: number, jt: number, jf: number): Instruction => ({ code: 0x15, jt, jf, k });
const ifGreater = (k: number, jt: number, jf: number): Instruction => ({ code: 0x25, jt, jf, k });
const ifAtLeast = (k: number, jt: number, jf: number): Instruction => ({ code: 0x35, jt, jf, k });

/**
 * Instructions that answer for calls newer than libseccomp or the profile, and fall through to the filter that is appended
 * for all others. Conditional jumps reach 255 instructions, so that each one skips a `ret` or a long jump and no more.
 *
 * @see https://docs.kernel.org/userspace-api/seccomp_filter.html
 */
export function newerCallsPrefix(abis: readonly NewerCalls[]): readonly Instruction[] {
  const blocks = abis
    .filter((abi) => abi.verdicts.size > 0 || abi.newest !== undefined || abi.refused !== undefined)
    .map((abi) => block(abi));
  // Each block is entered with the architecture loaded and left by falling through with it loaded again.
  return blocks.length === 0 ? [] : [load(offsetOfArch), ...blocks.flat()];
}

function block(abi: NewerCalls): readonly Instruction[] {
  const known = [...abi.verdicts].flatMap(([number, verdict]) => [ifEqual(number, 0, 1), answer(verdict)]);
  const newer = abi.newest === undefined ? [] : [ifGreater(abi.newest, 0, 1), answer(SECCOMP_RET_ENOSYS)];
  const decisions = [...known, ...newer, ...refusal(abi)];
  // On x86-64 one architecture holds two ABIs, told apart by a bit of the number.
  const side = abi.isX32 ? [ifAtLeast(X32_BIT, 1, 0)] : [ifAtLeast(X32_BIT, 0, 1)];
  const inner = [load(offsetOfNumber), ...side, jump(decisions.length), ...decisions, load(offsetOfArch)];
  return [ifEqual(abi.auditArch, 1, 0), jump(inner.length), ...inner];
}

/** Last of the decisions, as it leaves an argument loaded in place of the number. */
function refusal({ refused }: NewerCalls): readonly Instruction[] {
  if (refused === undefined) return [];
  return [
    ifEqual(refused.number, 0, 3),
    load(offsetOfFirstArgument),
    ifEqual(refused.firstArgument, 0, 1),
    answer(SECCOMP_RET_ENOSYS),
  ];
}
