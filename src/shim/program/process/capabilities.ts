import type { SpecCapabilities } from "../../../core/oci-runtime-spec.ts";
import { nr } from "../ffi/arch.ts";
import { PR } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import type { CapData, CapHeader, Struct, StructArray } from "../ffi/structs.ts";
import { struct, structs } from "../ffi/structs.ts";
import { capabilityBit, capabilityName, knownCapabilities } from "./capability-names.ts";

const version3 = 0x20080522;
const ambientRaise = 2;
const ambientClearAll = 4;
const highestBit = 63;

/** A capability set in the two halves that the kernel takes. */
interface CapabilitySet {
  low: number;
  high: number;
}

/** The five sets of a process, without what this process itself does not hold. */
export interface CapabilityPlan {
  readonly bounding: CapabilitySet;
  readonly effective: CapabilitySet;
  readonly permitted: CapabilitySet;
  readonly inheritable: CapabilitySet;
  readonly ambient: CapabilitySet;
}

/**
 * Turns the spec's names into sets. What this process lacks (a host or a container without it) is left out with a
 * warning, so that a privileged container still starts there. Inheritable and ambient stay empty unless asked for
 * (CVE-2022-29162, CVE-2022-24769).
 */
export function planCapabilities(
  wanted: SpecCapabilities | undefined,
  warn: (text: string) => void,
): CapabilityPlan {
  const held = heldPermitted();
  const missing: string[] = [];
  const keep = (names: readonly string[] | undefined): CapabilitySet => setOf(names ?? [], held, missing);
  const limit = boundingOf(held);
  const bounding = setOf(wanted?.bounding ?? [], limit, missing);
  const permitted = keep(wanted?.permitted);
  const inheritable = both(keep(wanted?.inheritable), bounding);
  const plan = {
    bounding,
    effective: both(keep(wanted?.effective), permitted),
    permitted,
    inheritable,
    ambient: both(keep(wanted?.ambient), both(permitted, inheritable)),
  };
  for (const name of missing) warn(`${name}: not held here, dropped`);
  return plan;
}

function setOf(names: readonly string[], held: CapabilitySet, missing: string[]): CapabilitySet {
  const set = { low: 0, high: 0 };
  for (const name of names) {
    const bit = capabilityBit(name);
    if (bit === undefined) throw failure("invalid-argument", `process.capabilities: unknown ${name}`);
    if (!has(held, bit)) {
      if (!missing.includes(name)) missing.push(name);
    } else {
      add(set, bit);
    }
  }
  return set;
}

/** The kernel takes effective and ambient only within permitted, inheritable only within bounding. */
function both(one: CapabilitySet, other: CapabilitySet): CapabilitySet {
  return { low: one.low & other.low, high: one.high & other.high };
}

function has(set: CapabilitySet, bit: number): boolean {
  return ((bit < 32 ? set.low >> bit : set.high >> (bit - 32)) & 1) === 1;
}

/** What this process may pass on: its permitted set (capget(2)). */
function heldPermitted(): CapabilitySet {
  const data = structs<CapData>("cap_data", 2);
  if (C.sys_capget(nr.capget, header(), data) < 0) throw sysError("capget");
  return { low: (data[0] as CapData).permitted | 0, high: (data[1] as CapData).permitted | 0 };
}

/** Those of a set that the bounding set has too. */
function boundingOf(set: CapabilitySet): CapabilitySet {
  const found = { low: 0, high: 0 };
  for (let bit = 0; bit < knownCapabilities; bit++) {
    if (has(set, bit) && C.prctl(PR.CAPBSET_READ, bit, 0, 0, 0) === 1) add(found, bit);
  }
  return found;
}

function add(set: CapabilitySet, bit: number): void {
  if (bit < 32) set.low = set.low | (1 << bit);
  else set.high = set.high | (1 << (bit - 32));
}

/** Drops from the bounding set all that is not in the plan; needs CAP_SETPCAP, so it comes before the user changes. */
export function dropBounding(plan: CapabilityPlan): void {
  for (let bit = 0; bit <= highestBit; bit++) {
    if (has(plan.bounding, bit)) continue;
    if (C.prctl(PR.CAPBSET_DROP, bit, 0, 0, 0) === 0) continue;
    const number = errno();
    // The kernel has no more capabilities than this.
    if (number === E.INVAL) return;
    if (C.prctl(PR.CAPBSET_READ, bit, 0, 0, 0) !== 0) {
      throw sysError("prctl PR_CAPBSET_DROP", capabilityName(bit), number);
    }
  }
}

/**
 * Sets effective, permitted, inheritable (capset(2)) and ambient. `extra` names one that stays permitted and effective
 * until execve, which computes both anew from the bounding, inheritable and ambient sets and the file alone, where
 * no_new_privs is not set (capabilities(7)).
 */
export function applyCapabilities(plan: CapabilityPlan, extra?: "CAP_SYS_ADMIN"): void {
  const more = setOf(extra === undefined ? [] : [extra], heldPermitted(), []);
  const data = structs<CapData>("cap_data", 2);
  const { effective, permitted, inheritable } = plan;
  fillHalf(data, 0, effective.low | more.low, permitted.low | more.low, inheritable.low);
  fillHalf(data, 1, effective.high | more.high, permitted.high | more.high, inheritable.high);
  if (C.sys_capset(nr.capset, header(), data) < 0) throw sysError("capset");
  C.prctl(PR.CAP_AMBIENT, ambientClearAll, 0, 0, 0);
  for (let bit = 0; bit < knownCapabilities; bit++) {
    if (has(plan.ambient, bit) && C.prctl(PR.CAP_AMBIENT, ambientRaise, bit, 0, 0) < 0) {
      throw sysError("prctl PR_CAP_AMBIENT", capabilityName(bit));
    }
  }
}

function fillHalf(
  data: StructArray<CapData>,
  half: number,
  effective: number,
  permitted: number,
  inheritable: number,
): void {
  const entry = data[half] as CapData;
  entry.effective = toUnsigned(effective);
  entry.permitted = toUnsigned(permitted);
  entry.inheritable = toUnsigned(inheritable);
}

/** Bit operations yield signed numbers, which C would convert in its own undefined way. */
function toUnsigned(bits: number): number {
  return bits < 0 ? bits + 2 ** 32 : bits;
}

function header(): Struct<CapHeader> {
  const value = struct<CapHeader>("cap_header");
  value.version = version3;
  return value;
}
