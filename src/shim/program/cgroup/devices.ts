import type { SpecDeviceRule } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../failure.ts";

/** Access bits, as the kernel numbers them (BPF_DEVCG_ACC_*). */
export const accessBits = { mknod: 1, read: 2, write: 4 } as const;

/** A device, or all of a kind where a number is absent, that is the exception from the default. */
export interface DeviceException {
  readonly type: "b" | "c";
  readonly major?: number;
  readonly minor?: number;
  /** Sum of {@link accessBits}. */
  readonly access: number;
}

/** What a list of rules comes to: one default and the exceptions from it. */
export interface DevicePolicy {
  readonly allowByDefault: boolean;
  readonly exceptions: readonly DeviceException[];
}

/**
 * Applies rules in order to a policy that allows all, as the kernel's v1 controller does with writes to devices.allow
 * and devices.deny: a rule for everything sets the default and forgets the exceptions; a rule against the default adds
 * to the exception of the same device; one along with it takes from it. Both cgroup versions are made from the result.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v1/devices.html
 */
export function devicePolicy(rules: readonly SpecDeviceRule[]): DevicePolicy {
  let allowByDefault = true;
  let exceptions: DeviceException[] = [];
  for (const rule of rules) {
    const access = accessOf(rule);
    if (isForEverything(rule)) {
      allowByDefault = rule.allow;
      exceptions = [];
      continue;
    }
    for (const type of typesOf(rule)) {
      const device = exceptionFor(type, rule, access);
      exceptions =
        rule.allow === allowByDefault ? without(exceptions, device) : including(exceptions, device);
    }
  }
  return { allowByDefault, exceptions };
}

function isForEverything(rule: SpecDeviceRule): boolean {
  return (
    typesOf(rule).length === 2 && numberOf(rule.major) === undefined && numberOf(rule.minor) === undefined
  );
}

function typesOf(rule: SpecDeviceRule): readonly ("b" | "c")[] {
  return rule.type === "b" || rule.type === "c" ? [rule.type] : ["b", "c"];
}

/** -1 says any in specs that were written by older runtimes. */
function numberOf(value: number | undefined): number | undefined {
  return value === undefined || value < 0 ? undefined : value;
}

function exceptionFor(type: "b" | "c", rule: SpecDeviceRule, access: number): DeviceException {
  const major = numberOf(rule.major);
  const minor = numberOf(rule.minor);
  return {
    type,
    access,
    ...(major === undefined ? {} : { major }),
    ...(minor === undefined ? {} : { minor }),
  };
}

function accessOf(rule: SpecDeviceRule): number {
  const letters = rule.access ?? "rwm";
  let bits = 0;
  if (letters.includes("m")) bits += accessBits.mknod;
  if (letters.includes("r")) bits += accessBits.read;
  if (letters.includes("w")) bits += accessBits.write;
  const known = letters.length > 0 && letters.length <= 3 && bitCount(bits) === letters.length;
  if (!known)
    throw failure("invalid-argument", `linux.resources.devices: access "${letters}" is not of r, w and m`);
  return bits;
}

function bitCount(bits: number): number {
  return (bits & 1) + ((bits >> 1) & 1) + ((bits >> 2) & 1);
}

function sameDevice(a: DeviceException, b: DeviceException): boolean {
  return a.type === b.type && a.major === b.major && a.minor === b.minor;
}

function including(exceptions: readonly DeviceException[], added: DeviceException): DeviceException[] {
  const list: DeviceException[] = [];
  let access = added.access;
  for (const exception of exceptions) {
    if (sameDevice(exception, added)) {
      access = access | exception.access;
    } else {
      list.push(exception);
    }
  }
  list.push({ ...added, access });
  return list;
}

function without(exceptions: readonly DeviceException[], taken: DeviceException): DeviceException[] {
  const list: DeviceException[] = [];
  for (const exception of exceptions) {
    const access = sameDevice(exception, taken) ? exception.access & ~taken.access : exception.access;
    if (access !== 0) list.push({ ...exception, access });
  }
  return list;
}
