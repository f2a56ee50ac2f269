import { failure } from "../ffi/error.ts";
import type { Strings } from "../ffi/memory.ts";
import { stringArray } from "../ffi/structs.ts";

/** A NULL-terminated array for execve(2), with the strings that it points at. */
export interface ExecStrings {
  readonly array: Strings;
  /** Held so that the garbage collector leaves them alone. */
  readonly values: readonly string[];
}

/** The strings as C sees them; `what` names them in the error for one that holds a NUL and would end early. */
export function execStrings(values: readonly string[], what: string): ExecStrings {
  for (const value of values) {
    const [nul] = string.find(value, "\0", 1, true);
    if (nul !== undefined) throw failure("invalid-argument", `${what}: an entry holds a NUL byte`);
  }
  return { array: stringArray(values), values };
}

/** Of entries with the same name the last, in the place of the first: what getenv(3) finds depends on the libc. */
export function uniqueEnvironment(entries: readonly string[]): string[] {
  const places = new LuaTable<string, number>();
  const unique: string[] = [];
  for (const entry of entries) {
    const [name] = string.match(entry, "^(.[^=]*)=");
    if (name === undefined) throw failure("invalid-argument", `process.env: ${entry}: must be NAME=value`);
    const place = places.get(name) as number | undefined;
    places.set(name, place ?? unique.length);
    unique[place ?? unique.length] = entry;
  }
  return unique;
}
