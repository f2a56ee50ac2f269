import { failure } from "../program/failure.ts";

/** An option: whether a value follows it, and its one-letter name. */
export interface OptionShape {
  readonly kind: "flag" | "value" | "list";
  readonly short?: string;
}

/** The options of a command, by their long names. */
export type OptionShapes = Readonly<Record<string, OptionShape>>;

/** What was given. */
export interface Options {
  has(this: void, name: string): boolean;
  /** The last value; undefined where there is none. */
  value(this: void, name: string): string | undefined;
  /** All values, in order. */
  list(this: void, name: string): readonly string[];
  /** A whole number; throws `invalid-argument` for anything else. */
  number(this: void, name: string): number | undefined;
  /** What comes after the options. */
  readonly rest: readonly string[];
}

/**
 * Reads options as the runtimes that this command stands in for do: `--name value`, `--name=value`, `-n value`, with one
 * dash or two. `--` ends them; so does the first word that is none where what follows is `another`'s.
 */
export function parseOptions(
  words: readonly string[],
  shapes: OptionShapes,
  after: "own" | "another" = "own",
): Options {
  const given = new LuaTable<string, string[]>();
  const rest: string[] = [];
  let at = 0;
  while (at < words.length) {
    const word = words[at] ?? "";
    if (word === "--") {
      at++;
      break;
    }
    const [written, inline] = splitOption(word);
    if (written === undefined) {
      if (after === "another") break;
      rest.push(word);
      at++;
      continue;
    }
    const name = longName(written, shapes);
    const shape = name === undefined ? undefined : shapes[name];
    if (name === undefined || shape === undefined) {
      throw failure("invalid-argument", `flag provided but not defined: ${word}`);
    }
    at++;
    let value = inline;
    if (shape.kind === "flag") value = flagValue(word, inline);
    else if (value === undefined) {
      value = words[at];
      at++;
      if (value === undefined) throw failure("invalid-argument", `option ${word}: needs a value`);
    }
    const values = given.get(name) as string[] | undefined;
    if (values === undefined) given.set(name, [value]);
    else values.push(value);
  }
  return optionsOf(given, [...rest, ...words.slice(at)]);
}

function optionsOf(given: LuaTable<string, string[]>, rest: readonly string[]): Options {
  const list = (name: string): readonly string[] => given.get(name) ?? [];
  const value = (name: string): string | undefined => {
    const values = list(name);
    return values[values.length - 1];
  };
  return {
    has: (name) => value(name) !== undefined && value(name) !== "false",
    value,
    list,
    number: (name) => {
      const text = value(name);
      if (text === undefined) return undefined;
      const [digits] = string.match(text, "^%-?%d+$");
      const number = tonumber(digits);
      if (number === undefined) {
        throw failure("invalid-argument", `option --${name}: not a whole number: ${text}`);
      }
      return number;
    },
    rest,
  };
}

/** The name and, after `=`, the value; no name for a word that is no option. */
function splitOption(word: string): LuaMultiReturn<[name: string | undefined, value: string | undefined]> {
  const [name, value] = string.match(word, "^%-%-?([^%-=][^=]*)=?(.*)$");
  if (name === undefined) return $multi(undefined, undefined);
  const [equals] = string.find(word, "=", 1, true);
  return $multi(name, equals === undefined ? undefined : value);
}

function longName(written: string, shapes: OptionShapes): string | undefined {
  if (shapes[written] !== undefined) return written;
  for (const [name, { short }] of pairs(shapes)) if (short === written) return name;
  return undefined;
}

function flagValue(word: string, inline: string | undefined): string {
  const value = inline ?? "true";
  if (value === "true" || value === "false") return value;
  throw failure("invalid-argument", `option ${word}: must be true or false`);
}
