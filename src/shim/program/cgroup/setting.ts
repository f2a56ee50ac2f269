import { failure } from "../failure.ts";

/** One value for one file of a cgroup's folder. */
export interface Setting {
  readonly file: string;
  readonly value: string;
  /** What asked for it, below `linux.resources`, for messages: `memory.limit`. */
  readonly field: string;
  /** A file that is absent is a warning: the kernel may be built or booted without this accounting. */
  readonly lenient?: true;
}

/** What a file of the cgroup holds now, without its last newline; undefined where there is no such file. */
export type ReadCurrent = (file: string) => string | undefined;

/** From here on a number means no limit: the last int64, rounded down to pages of up to 64 KiB. */
const noLimitFrom = 2 ** 63 - 65_536;

/** A whole number in decimal; throws `invalid-argument` for a fraction. */
export function integerText(value: number, field: string): string {
  if (value % 1 !== 0)
    throw failure("invalid-argument", `linux.resources.${field}: ${value} is no whole number`);
  return value.toFixed(0);
}

/** A whole number in decimal, or `unlimited` for a negative one and for one beyond int64. */
export function limitText(value: number, unlimited: string, field: string): string {
  return value < 0 || value >= noLimitFrom ? unlimited : integerText(value, field);
}

/** A setting for a value that was given and is not 0, which says "not set" in the runtime spec's oldest fields. */
export function pushNumber(
  settings: Setting[],
  file: string,
  value: number | undefined,
  field: string,
  unlimited = "-1",
): void {
  if (value === undefined || value === 0) return;
  settings.push({ file, value: limitText(value, unlimited, field), field });
}

/** A setting for a text that was given and is not empty. */
export function pushText(settings: Setting[], file: string, value: string | undefined, field: string): void {
  if (value === undefined || value === "") return;
  settings.push({ file, value, field });
}

/** Throws `failed-precondition`: this cgroup version has nothing for the field. */
export function refuse(field: string, why: string): never {
  throw failure("failed-precondition", `linux.resources.${field}: ${why}`);
}
