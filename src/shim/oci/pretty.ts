import { encode, isJsonArray } from "../program/json.ts";

const step = "  ";

/** JSON in one line, an object's fields in the order of `first`, then of the alphabet. */
export function orderedJson(value: unknown, first: readonly string[]): string {
  if (type(value) !== "table") return encode(value);
  if (isJsonArray(value)) return `[${value.map((element) => orderedJson(element, first)).join(",")}]`;
  const parts = fieldsOf(value as Record<string, unknown>, first).map(
    ([name, field]) => `${encode(name)}:${orderedJson(field, first)}`,
  );
  return `{${parts.join(",")}}`;
}

/** JSON for people: indented, an object's fields in the order of `first`, then of the alphabet. */
export function prettyJson(value: unknown, first: readonly string[] = []): string {
  return `${written(value, "", first)}\n`;
}

function written(value: unknown, indent: string, first: readonly string[]): string {
  if (type(value) !== "table") return encode(value);
  const deeper = indent + step;
  const parts = isJsonArray(value)
    ? value.map((element) => deeper + written(element, deeper, first))
    : fieldsOf(value as Record<string, unknown>, first).map(
        ([name, field]) => `${deeper}${encode(name)}: ${written(field, deeper, first)}`,
      );
  const [open, close] = isJsonArray(value) ? ["[", "]"] : ["{", "}"];
  return parts.length === 0 ? open + close : `${open}\n${parts.join(",\n")}\n${indent}${close}`;
}

function fieldsOf(object: Record<string, unknown>, first: readonly string[]): [string, unknown][] {
  const fields: [string, unknown][] = [];
  for (const [name, value] of pairs(object)) fields.push([name, value]);
  const rank = (name: string): string => {
    const place = first.indexOf(name);
    return place < 0 ? `~${name}` : string.format("%03d", place);
  };
  return fields.sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1));
}
