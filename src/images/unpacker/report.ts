/** What a report holds. */
export type Fields = Record<string, string | number | boolean | readonly string[]>;

/** Writes one JSON object from flat fields and lists of strings. */
export function encodeReport(fields: Fields): string {
  const parts: string[] = [];
  for (const [name, value] of pairs(fields)) parts.push(`${quote(name)}:${encodeValue(value)}`);
  return `{${table.concat(parts, ",")}}\n`;
}

function encodeValue(value: string | number | boolean | readonly string[]): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "number") return string.format("%.0f", value);
  if (typeof value === "boolean") return tostring(value);
  const items: string[] = [];
  for (const item of value) items.push(quote(item));
  return `[${table.concat(items, ",")}]`;
}

/** Bytes below a space, quotes and backslashes are escaped; names come from hostile archives. */
function quote(text: string): string {
  const [escaped] = string.gsub(text, '[%c"\\]', (char) => string.format("\\u%04x", string.byte(char)));
  return `"${escaped}"`;
}
