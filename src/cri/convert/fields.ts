import { posix } from "node:path";
import { RuntimeError } from "../../core/errors.ts";

/** Throws `invalid-argument` naming a field of the request. */
export function invalid(field: string, problem: string): never {
  throw new RuntimeError("invalid-argument", `${field}: ${problem}`);
}

/** A message that must be there. */
export function required<T>(field: string, value: T | null | undefined): T {
  return value ?? invalid(field, "missing");
}

// eslint-disable-next-line no-control-regex -- refusing control characters is the point
const controlCharacter = /[\u0000-\u001f\u007f]/;

/** Text that may reach a file or a terminal: no control characters (CVE-2022-4318). */
export function plainText(field: string, value: string): string {
  if (controlCharacter.test(value)) invalid(field, `has a control character: ${JSON.stringify(value)}`);
  return value;
}

/** Plain text that must not be empty. */
export function requiredText(field: string, value: string): string {
  return value === "" ? invalid(field, "empty") : plainText(field, value);
}

/** An absolute path without NUL, its `.` and `..` resolved by text alone. */
export function absolutePath(field: string, value: string): string {
  if (!value.startsWith("/")) invalid(field, `not an absolute path: ${JSON.stringify(value)}`);
  if (value.includes("\0")) invalid(field, "has a NUL byte");
  return posix.normalize(value);
}

/** A path of the node, absolute and without `..`, which means something else across a symlink than it seems to. */
export function hostPath(field: string, value: string): string {
  if (value.split("/").includes("..")) invalid(field, `has a ..: ${JSON.stringify(value)}`);
  return absolutePath(field, value);
}

/** The largest user or group id accepted: one more would be negative in places (CVE-2024-40635). */
const maxId = 2n ** 31n - 1n;

/** A user or group id, 0 to 2^31-1. */
export function userOrGroupId(field: string, value: string): number {
  const id = BigInt(value);
  if (id < 0n || id > maxId) invalid(field, `${value} is not within 0 to ${maxId}`);
  return Number(id);
}

/** A whole number within bounds. */
export function withinRange(field: string, value: string | number, least: bigint, most: bigint): bigint {
  const number = BigInt(value);
  if (number < least || number > most) invalid(field, `${value} is not within ${least} to ${most}`);
  return number;
}

/** Looks an enum's name up; a number that the contract does not know is refused. */
export function oneOf<T>(field: string, value: string | number, names: Readonly<Record<string, T>>): T {
  const found = typeof value === "string" && Object.hasOwn(names, value) ? names[value] : undefined;
  return found ?? invalid(field, `unknown value ${value}`);
}

/** The longest wait that a request can ask for: what a timer of Node can hold. */
const maxSeconds = 2n ** 31n / 1000n - 1n;

/** Seconds of a request in milliseconds; what is longer than a timer can hold is cut to that. */
export function secondsToMs(field: string, value: string): number {
  const seconds = BigInt(value);
  if (seconds < 0n) invalid(field, `${value} is negative`);
  return Number(seconds > maxSeconds ? maxSeconds : seconds) * 1000;
}
