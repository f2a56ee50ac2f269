import { RuntimeError } from "../core/errors.ts";

/** A JSON object whose fields are not checked yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads a text that must be one JSON object; the error carries `what` and the parser's line. */
export function parseJsonObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // The parser quotes the text around the mistake, line breaks and all, and does not always tell the line.
    const reason = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ");
    const line = /\(line \d+/.test(reason) ? "" : ` (line ${lineOfMistake(text)})`;
    throw new RuntimeError("invalid-argument", `${what}: not JSON: ${reason}${line}`, { cause: error });
  }
  return requireObject(value, what);
}

/** One token of JSON behind its blanks (RFC 8259). */
const jsonToken =
  /[ \t\r\n]*([{}[\],:]|"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy;

/** The line, from 1, of the first token that is none, or stands where a value is due; else the last line. */
function lineOfMistake(text: string): number {
  const tokens = new RegExp(jsonToken);
  let end = 0;
  let isValueDue = true;
  for (let match = tokens.exec(text); match !== null; match = tokens.exec(text)) {
    const [, token = ""] = match;
    if (isValueDue && "}],:".includes(token)) break;
    isValueDue = token === ":" || token === ",";
    end = tokens.lastIndex;
  }
  const blanks = /^[ \t\r\n]*/.exec(text.slice(end))?.[0].length ?? 0;
  return text.slice(0, end + blanks).split("\n").length;
}

/** Gives `value` where it is an object, else throws `invalid-argument`. */
export function requireObject(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RuntimeError("invalid-argument", `${what}: expected an object`);
  }
  return value as JsonObject;
}

/** A field that is an object; an absent one, or null, is undefined. */
export function objectField(object: JsonObject, key: string, what: string): JsonObject | undefined {
  const value = object[key];
  return value === undefined || value === null ? undefined : requireObject(value, `${what}: ${key}`);
}

/** A field that is a list of objects; an absent one, or null, is empty. */
export function objectsField(object: JsonObject, key: string, what: string): JsonObject[] {
  return listField(object, key, what).map((entry, index) =>
    requireObject(entry, `${what}: ${key}[${index}]`),
  );
}

/** A field that is a list; an absent one, or null, is empty. */
export function listField(object: JsonObject, key: string, what: string): readonly unknown[] {
  const value = object[key] ?? [];
  if (!Array.isArray(value)) throw wrongType(what, key, "a list");
  return value;
}

/** A field that is a list of strings; an absent one, or null, is empty. */
export function stringsField(object: JsonObject, key: string, what: string): string[] {
  return listField(object, key, what).map((entry) => {
    if (typeof entry !== "string") throw wrongType(what, key, "a list of strings");
    return entry;
  });
}

/** A field that is a string; an absent one, or null, is empty. */
export function stringField(object: JsonObject, key: string, what: string): string {
  const value = object[key] ?? "";
  if (typeof value !== "string") throw wrongType(what, key, "a string");
  return value;
}

/** A field that is true or false; an absent one, or null, is false. */
export function booleanField(object: JsonObject, key: string, what: string): boolean {
  const value = object[key] ?? false;
  if (typeof value !== "boolean") throw wrongType(what, key, "true or false");
  return value;
}

/** A field that is a whole number, 0 or more; an absent one, or null, is undefined. */
export function countField(object: JsonObject, key: string, what: string): number | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw wrongType(what, key, "a whole number");
  return value as number;
}

function wrongType(what: string, key: string, expected: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${key}: expected ${expected}`);
}
