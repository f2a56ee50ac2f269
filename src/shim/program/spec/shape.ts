import { failure } from "../ffi/error.ts";
import { isJsonArray } from "../json.ts";

/** Told of a field that no shape names. */
export type UnknownField = (this: void, path: string) => void;

/** Checks one value; `path` names it in the error. */
export type Shape = (this: void, value: unknown, path: string, onUnknown?: UnknownField) => void;

const int32Max = 2147483647;
/** The largest integer that JSON numbers carry exactly. */
const exactMax = 2 ** 53;

/** Says what is wrong with the field at `path`. */
export function refuse(path: string, what: string): never {
  throw failure("invalid-argument", `${path}: ${what}`);
}

/** What a field that is not named comes to unless the caller says otherwise. */
export const refuseUnknown: UnknownField = (path) => {
  refuse(path, "unknown field");
};

/** Any string without a NUL byte, which no C string could carry. */
export function text(value: unknown, path: string): void {
  if (type(value) !== "string") refuse(path, "must be a string");
  const [nul] = string.find(value as string, "%z");
  if (nul !== undefined) refuse(path, "must not hold a NUL byte");
}

/** A string that holds something. */
export function nonEmptyText(value: unknown, path: string): void {
  text(value, path);
  if (value === "") refuse(path, "must not be empty");
}

/** A path from the root. */
export function absolutePath(value: unknown, path: string): void {
  text(value, path);
  if (string.sub(value as string, 1, 1) !== "/")
    refuse(path, `must be an absolute path, not ${value as string}`);
}

export function flag(value: unknown, path: string): void {
  if (type(value) !== "boolean") refuse(path, "must be true or false");
}

/** Any JSON value: annotations and what others check. */
export function anything(): void {
  // Nothing to refuse.
}

/** A whole number in a range. */
export function integer(min: number, max: number): Shape {
  return (value, path) => {
    if (type(value) !== "number" || (value as number) % 1 !== 0) refuse(path, "must be a whole number");
    const number = value as number;
    if (number < min || number > max) refuse(path, `must be between ${min} and ${max}`);
  };
}

/** An id of a user or group: 0 to 2^31-1 (CVE-2024-40635). */
export const id = integer(0, int32Max);
/** A whole number from 0. */
export const count = integer(0, exactMax);
/** A whole number of either sign; values beyond 2^53, such as RLIM_INFINITY, arrive rounded and pass. */
export const limit: Shape = (value, path) => {
  if (type(value) !== "number") refuse(path, "must be a number");
};

/** One of a few strings. */
export function oneOf(...words: readonly string[]): Shape {
  return (value, path) => {
    for (const word of words) if (word === value) return;
    refuse(path, `must be one of ${words.join(", ")}, not ${tostring(value)}`);
  };
}

/** An array, element by element. */
export function list(item: Shape): Shape {
  return (value, path, onUnknown) => {
    if (!isJsonArray(value)) {
      // An empty array that came through an encoder without marks looks like an empty object.
      if (type(value) === "table" && next(value as object)[0] === undefined) return;
      refuse(path, "must be an array");
    }
    value.forEach((element, index) => {
      item(element, `${path}[${index}]`, onUnknown);
    });
  };
}

/** An object whose keys are free. */
export function mapOf(item: Shape): Shape {
  return (value, path, onUnknown) => {
    for (const [key, element] of fieldsOf(value, path)) item(element, `${path}.${key}`, onUnknown);
  };
}

/** What the spec knows and this runtime does not do. */
export const unsupported: Shape = (_value, path) => {
  refuse(path, "not supported");
};

/** A field that must be there. */
export interface Required {
  readonly required: Shape;
}

export function required(shape: Shape): Required {
  return { required: shape };
}

/** An object with exactly these fields; one that is not named here is refused, or told to whoever wants to know. */
export function object(fields: Readonly<Record<string, Shape | Required>>): Shape {
  return (value, path, onUnknown = refuseUnknown) => {
    for (const [key, element] of fieldsOf(value, path)) {
      const field = fields[key];
      if (field === undefined) onUnknown(joined(path, key));
      else shapeOf(field)(element, joined(path, key), onUnknown);
    }
    for (const [key, field] of pairs(fields)) {
      const must = type(field) === "table";
      if (must && (value as Record<string, unknown>)[key] === undefined) refuse(joined(path, key), "missing");
    }
  };
}

function shapeOf(field: Shape | Required): Shape {
  return type(field) === "table" ? (field as Required).required : (field as Shape);
}

function fieldsOf(value: unknown, path: string): LuaPairsIterable<string, unknown> {
  if (type(value) !== "table") refuse(path, "must be an object");
  // An array has numbers for keys.
  if (isJsonArray(value) && value.length > 0) refuse(path, "must be an object");
  return value as LuaPairsIterable<string, unknown>;
}

function joined(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
