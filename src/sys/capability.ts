import { checked } from "./call.ts";
import { LINUX_CAPABILITY_VERSION_3, PR_CAPBSET_READ } from "./constants.ts";
import { libc } from "./ffi.ts";

/** A thread's capability sets; bit n is the capability numbered n in capabilities(7). */
export interface CapabilitySets {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
}

const capgetFunction = libc.function("capget", ["bytes", "bytes"], "i32");
const prctlFunction = libc.function("prctl", ["i32", "i64", "i64", "i64", "i64"], "i32");

/** The number of bits that are asked for; the kernel refuses those above its own last capability. */
const maxCapabilities = 64;

/**
 * The calling thread's own sets.
 *
 * @see https://man7.org/linux/man-pages/man2/capget.2.html
 */
export function capget(): CapabilitySets {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3, 0);
  // Two struct __user_cap_data_struct: bits 0 to 31 of the three sets, then bits 32 to 63.
  const data = Buffer.alloc(24);
  checked("capget", capgetFunction(header, data));
  const set = (offset: number): bigint =>
    (BigInt(data.readUInt32LE(12 + offset)) << 32n) | BigInt(data.readUInt32LE(offset));
  return { effective: set(0), permitted: set(4), inheritable: set(8) };
}

/**
 * The calling thread's bounding set: what a child that is executed can have at most.
 *
 * @see https://man7.org/linux/man-pages/man2/PR_CAPBSET_READ.2const.html
 */
export function readBoundingSet(): bigint {
  let set = 0n;
  for (let capability = 0; capability < maxCapabilities; capability += 1) {
    if (prctlFunction(PR_CAPBSET_READ, capability, 0, 0, 0).value === 1) set |= 1n << BigInt(capability);
  }
  return set;
}
