import { RuntimeError } from "./errors.ts";

/**
 * Readers for values of a document that an operator or a vendor writes. Numbers and booleans may come as text, as all
 * scalars of YAML do here: whether `0` is a name or a number is for the field to say. `where` is the path to the value,
 * which begins every error.
 */
export type Fields = Readonly<Record<string, unknown>>;

/** What YAML and JSON write for nothing. */
const nothing: readonly unknown[] = [undefined, null, "", "null", "~"];

/** Entries of one list; more is a mistake. */
const maxEntries = 10_000;

/** An object without other keys than the known ones; an absent one has none. */
export function readObject(value: unknown, where: string, known: readonly string[]): Fields {
  if (nothing.includes(value)) return {};
  if (typeof value !== "object" || Array.isArray(value)) return bad(where, "not an object");
  for (const key of Object.keys(value as object)) {
    if (!known.includes(key)) bad(where, `unknown field ${JSON.stringify(key.slice(0, 100))}`);
  }
  return value as Fields;
}

/** A list; an absent one is empty. */
export function readList<T>(
  value: unknown,
  where: string,
  read: (item: unknown, where: string) => T,
): readonly T[] {
  if (nothing.includes(value)) return [];
  if (!Array.isArray(value)) return bad(where, "not a list");
  if (value.length > maxEntries) return bad(where, `more than ${maxEntries} entries`);
  return value.map((item, index) => read(item, `${where}[${index}]`));
}

/** A text without NUL; a number of JSON is not one. */
export function readText(value: unknown, where: string): string {
  if (typeof value !== "string") return bad(where, value === undefined ? "missing" : "not a text");
  return value.includes("\0") ? bad(where, "has a NUL byte") : value;
}

/** A text that may be left out. */
export function readOptionalText(value: unknown, where: string): string | undefined {
  return value === undefined || value === null || value === "" ? undefined : readText(value, where);
}

/** An absolute path. */
export function readPath(value: unknown, where: string): string {
  const path = readText(value, where);
  return path.startsWith("/") ? path : bad(where, `${JSON.stringify(path)} is not an absolute path`);
}

/** A whole number from 0 to `most`, in decimal, octal (`0660`, `0o660`) or hexadecimal; absent is undefined. */
export function readWhole(value: unknown, where: string, most: number): number | undefined {
  if (nothing.includes(value)) return undefined;
  const number = typeof value === "string" ? parseWhole(value) : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= most) return number;
  return bad(where, `${JSON.stringify(value)} is not a whole number from 0 to ${most}`);
}

/** Requires `NAME=value`. */
export function readVariable(value: unknown, where: string): string {
  const text = readText(value, where);
  return text.indexOf("=") > 0 ? text : bad(where, `${JSON.stringify(text.slice(0, 100))} is not NAME=value`);
}

/** Refuses a value by the path to it. */
export function bad(where: string, why: string): never {
  throw new RuntimeError("invalid-argument", `${where}: ${why}`);
}

function parseWhole(text: string): number {
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
  return /^(\d+|0o[0-7]+|0x[0-9a-fA-F]+)$/.test(text) ? Number(text) : Number.NaN;
}
