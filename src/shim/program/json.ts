import { failure } from "./failure.ts";

/**
 * JSON for the shim: made for the interpreter, so the work is done by the string library's C functions.
 *
 * What differs from ECMAScript: `null` becomes an absent value (a field that is not there); in an array, where that
 * would be a hole, it is refused. Numbers are doubles. Strings are bytes and are not checked to be UTF-8; a lone
 * surrogate escape becomes U+FFFD. A key that comes twice is refused. An empty table is written as `{}` unless it is
 * marked by {@link jsonArray}; empty arrays come out of {@link decode} so marked.
 */

/** Nesting of arrays and objects that {@link decode} follows. */
const maxDepth = 64;

/** The largest integer that a double holds exactly. */
const maxExactInteger = 2 ** 53;

const find = string.find;
const sub = string.sub;
const byte = string.byte;
const gsub = string.gsub;
const format = string.format;

/** A value and the position (from 1) after it. */
type Parsed<T = unknown> = LuaMultiReturn<[value: T, next: number]>;

/** Marks arrays, so that empty ones are told from empty objects. */
const arrayMark: object = {};

/** Marks a table as an array, which matters only while it is empty; returns it. */
export function jsonArray<T>(list: T[]): T[] {
  return setmetatable(list, arrayMark);
}

/** True for a table that {@link decode} made of an array, and for one with a first element. */
export function isJsonArray(value: unknown): value is unknown[] {
  if (type(value) !== "table") return false;
  return getmetatable(value as object) === arrayMark || (value as unknown[])[0] !== undefined;
}

/** Reads one document of at most `maxBytes`; throws a Failure that says what is wrong at which byte. */
export function decode(text: string, maxBytes: number): unknown {
  const length = text.length;
  if (length > maxBytes) fail(`${length} bytes are over the limit of ${maxBytes}`);
  const [value, next] = parseValue(text, 1, 0);
  const [rest] = find(text, "[^ \t\r\n]", next);
  if (rest !== undefined) fail(`text after the document at byte ${rest}`);
  return value;
}

/** Writes a value; throws a Failure for one that JSON has no word for. */
export function encode(value: unknown): string {
  const out: string[] = [];
  write(out, 0, value);
  return table.concat(out);
}

function fail(what: string): never {
  throw failure("invalid-argument", `json: ${what}`);
}

function skipSpace(text: string, at: number): LuaMultiReturn<[at: number, code: number]> {
  const code = byte(text, at) as number | undefined;
  if (code !== undefined && code > 32) return $multi(at, code);
  const [next] = find(text, "[^ \t\r\n]", at);
  if (next === undefined) fail("the document ends early");
  return $multi(next, byte(text, next));
}

function parseValue(text: string, from: number, depth: number): Parsed {
  const [at, code] = skipSpace(text, from);
  if (code === 34) return parseString(text, at);
  if (code === 123) return parseObject(text, at, depth + 1);
  if (code === 91) return parseArray(text, at, depth + 1);
  if (code === 45 || (code >= 48 && code <= 57)) return parseNumber(text, at);
  if (sub(text, at, at + 3) === "true") return $multi(true, at + 4);
  if (sub(text, at, at + 4) === "false") return $multi(false, at + 5);
  if (sub(text, at, at + 3) === "null") return $multi(undefined, at + 4);
  return fail(`unexpected character at byte ${at}`);
}

function parseObject(text: string, open: number, depth: number): Parsed {
  if (depth > maxDepth) fail(`nested deeper than ${maxDepth} at byte ${open}`);
  const object: Record<string, unknown> = {};
  let [at, code] = skipSpace(text, open + 1);
  if (code === 125) return $multi(object, at + 1);
  while (true) {
    if (code !== 34) fail(`expected a key at byte ${at}`);
    const [key, afterKey] = parseString(text, at);
    if (object[key] !== undefined) fail(`key "${key}" comes twice, at byte ${at}`);
    [at, code] = skipSpace(text, afterKey);
    if (code !== 58) fail(`expected ":" at byte ${at}`);
    const [value, afterValue] = parseValue(text, at + 1, depth);
    object[key] = value;
    [at, code] = skipSpace(text, afterValue);
    if (code === 125) return $multi(object, at + 1);
    if (code !== 44) fail(`expected "," or "}" at byte ${at}`);
    [at, code] = skipSpace(text, at + 1);
  }
}

function parseArray(text: string, open: number, depth: number): Parsed {
  if (depth > maxDepth) fail(`nested deeper than ${maxDepth} at byte ${open}`);
  const list: unknown[] = [];
  let [at, code] = skipSpace(text, open + 1);
  if (code === 93) return $multi(jsonArray(list), at + 1);
  let length = 0;
  while (true) {
    const [value, next] = parseValue(text, at, depth);
    if (value === undefined) fail(`null in an array at byte ${at}`);
    list[length] = value;
    length = length + 1;
    [at, code] = skipSpace(text, next);
    if (code === 93) return $multi(list, at + 1);
    if (code !== 44) fail(`expected "," or "]" at byte ${at}`);
    at = at + 1;
  }
}

function parseNumber(text: string, at: number): Parsed {
  let [, stop] = find(text, "^-?%d+", at);
  if (stop === undefined || find(text, "^-?0%d", at)[0] !== undefined) fail(`malformed number at byte ${at}`);
  const [, fraction] = find(text, "^%.%d+", stop + 1);
  stop = fraction ?? stop;
  const [, exponent] = find(text, "^[eE][+-]?%d+", stop + 1);
  stop = exponent ?? stop;
  const value = tonumber(sub(text, at, stop));
  if (value === math.huge || value === -math.huge) fail(`number out of range at byte ${at}`);
  return $multi(value, stop + 1);
}

/** `open` is the place of the opening quote. */
function parseString(text: string, open: number): Parsed<string> {
  const [close] = find(text, '"', open + 1, true);
  if (close === undefined) return unterminated(open);
  const plain = sub(text, open + 1, close - 1);
  if (find(plain, "\\", 1, true)[0] !== undefined) return parseEscaped(text, open);
  if (find(plain, "%c")[0] !== undefined) checkControls(plain, open);
  return $multi(plain, close + 1);
}

function unterminated(open: number): never {
  return fail(`text without an end, from byte ${open}`);
}

/** JSON forbids the bytes 0 to 31 in a text; Lua's %c has 127 as well. */
function checkControls(raw: string, open: number): void {
  const [control] = find(raw, "[%z\x01-\x1f]");
  if (control !== undefined) fail(`control character in a text at byte ${open + control}`);
}

const simpleEscapes: Readonly<Record<string, string | undefined>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function parseEscaped(text: string, open: number): Parsed<string> {
  const parts: string[] = [];
  let at = open + 1;
  while (true) {
    const [stop] = find(text, '["\\]', at);
    if (stop === undefined) return unterminated(open);
    const raw = sub(text, at, stop - 1);
    checkControls(raw, at - 1);
    parts.push(raw);
    if (byte(text, stop) === 34) return $multi(table.concat(parts), stop + 1);
    const letter = sub(text, stop + 1, stop + 1);
    if (letter === "u") {
      const [character, next] = parseUnicodeEscape(text, stop);
      parts.push(character);
      at = next;
    } else {
      parts.push(simpleEscapes[letter] ?? fail(`unknown escape at byte ${stop}`));
      at = stop + 2;
    }
  }
}

function parseUnicodeEscape(text: string, at: number): Parsed<string> {
  const [digits] = string.match(text, "^\\u(%x%x%x%x)", at);
  if (digits === undefined) fail(`malformed \\u escape at byte ${at}`);
  const unit = tonumber(digits, 16) ?? 0;
  if (unit < 0xd800 || unit > 0xdfff) return $multi(utf8Of(unit), at + 6);
  const [low] = string.match(text, "^\\u([dD][c-fC-F]%x%x)", at + 6);
  if (unit > 0xdbff || low === undefined) return $multi(utf8Of(0xfffd), at + 6);
  return $multi(utf8Of(0x10000 + (unit - 0xd800) * 0x400 + ((tonumber(low, 16) ?? 0) - 0xdc00)), at + 12);
}

function utf8Of(code: number): string {
  if (code < 0x80) return string.char(code);
  const last = 0x80 + (code % 0x40);
  const rest = math.floor(code / 0x40);
  if (code < 0x800) return string.char(0xc0 + rest, last);
  const third = 0x80 + (rest % 0x40);
  const upper = math.floor(rest / 0x40);
  if (code < 0x10000) return string.char(0xe0 + upper, third, last);
  return string.char(0xf0 + math.floor(upper / 0x40), 0x80 + (upper % 0x40), third, last);
}

/** Writes at `out[length]` and on; returns the new length. */
function write(out: string[], length: number, value: unknown): number {
  if (typeof value === "string") {
    out[length] = quoted(value);
  } else if (typeof value === "number") {
    out[length] = numeral(value);
  } else if (typeof value === "boolean") {
    out[length] = value ? "true" : "false";
  } else if (value === undefined) {
    out[length] = "null";
  } else if (type(value) !== "table") {
    fail(`a ${type(value)} cannot be written`);
  } else if (isJsonArray(value)) {
    return writeArray(out, length, value);
  } else {
    return writeObject(out, length, value as Record<string, unknown>);
  }
  return length + 1;
}

function writeArray(out: string[], start: number, list: readonly unknown[]): number {
  let length = start;
  out[length] = "[";
  length = length + 1;
  for (let index = 0; index < list.length; index++) {
    if (index > 0) {
      out[length] = ",";
      length = length + 1;
    }
    length = write(out, length, list[index]);
  }
  out[length] = "]";
  return length + 1;
}

function writeObject(out: string[], start: number, object: Readonly<Record<string, unknown>>): number {
  let length = start;
  let separator = "{";
  for (const [key, value] of pairs(object)) {
    out[length] = `${separator}${quoted(key)}:`;
    length = write(out, length + 1, value);
    separator = ",";
  }
  out[length] = separator === "{" ? "{}" : "}";
  return length + 1;
}

function quoted(text: string): string {
  if (find(text, '[%z\x01-\x1f"\\]')[0] === undefined) return `"${text}"`;
  const [escaped] = gsub(text, '[%z\x01-\x1f"\\]', escapeCharacter);
  return `"${escaped}"`;
}

function escapeCharacter(character: string): string {
  if (character === '"') return '\\"';
  if (character === "\\") return "\\\\";
  if (character === "\n") return "\\n";
  return format("\\u%04x", byte(character));
}

function numeral(value: number): string {
  if (value !== value || value === math.huge || value === -math.huge) fail(`${value} cannot be written`);
  if (value % 1 === 0 && value >= -maxExactInteger && value <= maxExactInteger) return format("%d", value);
  return format("%.17g", value);
}
