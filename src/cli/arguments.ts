import { RuntimeError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";

/** One option of a command: how it is written and what it means. */
export type OptionSpec =
  | { readonly kind: "flag"; readonly short?: string; readonly doc: string }
  | { readonly kind: "text"; readonly short?: string; readonly placeholder: string; readonly doc: string }
  | {
      readonly kind: "whole";
      readonly short?: string;
      readonly placeholder: string;
      readonly doc: string;
      /** The least number that is taken. */
      readonly least: number;
    }
  /** May be given several times. */
  | { readonly kind: "list"; readonly short?: string; readonly placeholder: string; readonly doc: string };

/** Options by their long name. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What a kind of option comes to; one that was not given is absent, a flag is false and a list is empty. */
interface ValueOfKind {
  readonly flag: boolean;
  readonly text: string | undefined;
  readonly whole: number | undefined;
  readonly list: readonly string[];
}

/** What was given, option by option. */
export type OptionValues<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]: ValueOfKind[Specs[Name]["kind"]];
};

/** A command line that was understood. */
export interface ParsedArguments<Specs extends OptionSpecs> {
  readonly options: OptionValues<Specs>;
  readonly words: readonly string[];
}

/**
 * Reads options anywhere among the words, up to `--` or, where `wordsBeforeCommand` is given, up to that many words:
 * what follows them belongs to a command to be run and is left alone. Throws `invalid-argument` naming the option.
 */
export function parseArguments<const Specs extends OptionSpecs>(
  specs: Specs,
  args: readonly string[],
  wordsBeforeCommand = Infinity,
): ParsedArguments<Specs> {
  const values = new Map<string, unknown>();
  const words: string[] = [];
  const rest = [...args];
  while (rest.length > 0 && words.length < wordsBeforeCommand) {
    const arg = rest.shift() ?? "";
    if (arg === "--") break;
    if (!arg.startsWith("-") || arg === "-") words.push(arg);
    else if (arg.startsWith("--")) readLong(specs, arg, rest, values);
    else readShort(specs, arg, rest, values);
  }
  // `berth exec CONTAINER -- COMMAND`: the dashes are no part of the command.
  if (words.length === wordsBeforeCommand && rest[0] === "--") rest.shift();
  return { options: withDefaults(specs, values), words: [...words, ...rest] };
}

function readLong(specs: OptionSpecs, arg: string, rest: string[], values: Map<string, unknown>): void {
  const equals = arg.indexOf("=");
  const name = arg.slice(2, equals < 0 ? undefined : equals);
  const spec = specs[name];
  if (spec === undefined) {
    const near = nearest(name, Object.keys(specs));
    refuse(`unknown option --${name}${near === undefined ? "" : `; did you mean --${near}?`}`);
  }
  if (equals >= 0 && spec.kind === "flag") refuse(`--${name} takes no value`);
  store(name, spec, equals < 0 ? takeValue(`--${name}`, spec, rest) : arg.slice(equals + 1), values);
}

/** `-it` is `-i -t`; `-n5` is `-n 5`. */
function readShort(specs: OptionSpecs, arg: string, rest: string[], values: Map<string, unknown>): void {
  for (let index = 1; index < arg.length; index++) {
    const letter = arg[index] ?? "";
    const [name, spec] = Object.entries(specs).find(([, candidate]) => candidate.short === letter) ?? [];
    if (name === undefined || spec === undefined) refuse(`unknown option -${letter}`);
    const attached = arg.slice(index + 1);
    if (spec.kind !== "flag" && attached !== "") {
      store(name, spec, attached, values);
      return;
    }
    store(name, spec, takeValue(`-${letter}`, spec, rest), values);
  }
}

function takeValue(shown: string, spec: OptionSpec, rest: string[]): string {
  if (spec.kind === "flag") return "";
  const value = rest.shift();
  if (value === undefined) refuse(`${shown} wants ${spec.placeholder}`);
  return value;
}

function store(name: string, spec: OptionSpec, text: string, values: Map<string, unknown>): void {
  switch (spec.kind) {
    case "flag":
      values.set(name, true);
      break;
    case "text":
      values.set(name, text);
      break;
    case "whole": {
      const number = Number(text);
      if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < spec.least) {
        refuse(`--${name}: expected a whole number of at least ${spec.least}, not ${JSON.stringify(text)}`);
      }
      values.set(name, number);
      break;
    }
    case "list":
      values.set(name, [...((values.get(name) as string[] | undefined) ?? []), text]);
  }
}

function withDefaults<Specs extends OptionSpecs>(
  specs: Specs,
  values: ReadonlyMap<string, unknown>,
): OptionValues<Specs> {
  const defaults = { flag: false, text: undefined, whole: undefined, list: [] };
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [
      name,
      values.has(name) ? values.get(name) : defaults[spec.kind],
    ]),
  ) as OptionValues<Specs>;
}

function refuse(message: string): never {
  throw new RuntimeError("invalid-argument", message);
}
