/** Tokens of seccomp.h; but for x32 they are AUDIT_ARCH_ of linux/audit.h too. */
export const X32 = 0x4000_003e;
export const X86_64 = 0xc000_003e;
export const AARCH64 = 0xc000_00b7;
export const I386 = 0x4000_0003;

/** The ABIs of the machines that this project runs on, by native one. */
export const abis: ReadonlyMap<number, ReadonlyMap<string, number>> = new Map([
  [
    X86_64,
    new Map([
      ["SCMP_ARCH_X86_64", X86_64],
      ["SCMP_ARCH_X86", I386],
      ["SCMP_ARCH_X32", X32],
    ]),
  ],
  [
    AARCH64,
    new Map([
      ["SCMP_ARCH_AARCH64", AARCH64],
      ["SCMP_ARCH_ARM", 0x4000_0028],
    ]),
  ],
]);

/**
 * Numbers of calls that libseccomp 2.5.4 (Debian 12) has no names for. Since Linux 5.1 a new call has the same number on
 * every machine; the exceptions are made to measure for x86-64.
 */
const newNumbers: ReadonlyMap<string, number> = new Map(
  Object.entries({
    cachestat: 451,
    fchmodat2: 452,
    map_shadow_stack: 453,
    futex_wake: 454,
    futex_wait: 455,
    futex_requeue: 456,
    statmount: 457,
    listmount: 458,
    lsm_get_self_attr: 459,
    lsm_set_self_attr: 460,
    lsm_list_modules: 461,
    mseal: 462,
    setxattrat: 463,
    getxattrat: 464,
    listxattrat: 465,
    removexattrat: 466,
    open_tree_attr: 467,
    file_getattr: 468,
    file_setattr: 469,
    listns: 470,
  }),
);
const newNumbersX86_64: ReadonlyMap<string, number> = new Map([
  ["uretprobe", 335],
  ["uprobe", 336],
]);

/**
 * 32-bit x86 has calls that came first through socketcall(2) and ipc(2) and later directly. libseccomp gives a negative number
 * for the former; for the comparison, the last of the direct ones stands for them all.
 */
export function directNumber(number: number): number {
  if (number <= -101 && number >= -120) return 373;
  return number <= -201 && number >= -224 ? 402 : number;
}

/** The number of a call that libseccomp may not know, on the ABI `token`; undefined for any other. */
export function newNumber(name: string, token: number): number | undefined {
  const own = token === X86_64 ? newNumbersX86_64.get(name) : undefined;
  const number = own ?? newNumbers.get(name);
  return number === undefined ? undefined : token === X32 ? number + 0x4000_0000 : number;
}
