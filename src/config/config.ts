import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parse as parseToml, TomlError } from "smol-toml";
import { RuntimeError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { flagOf, settings, type Config, type Setting } from "./settings.ts";

/** Where the file is looked for when no flag names one; it may be absent. */
export const defaultConfigFile = "/etc/berth/config.toml";

/** What the command line asked for. */
export type Invocation =
  | { readonly action: "serve"; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly action: "check"; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly action: "help" }
  | { readonly action: "version" };

const all: readonly [keyof Config, Setting<unknown>][] = Object.entries(settings) as [
  keyof Config,
  Setting<unknown>,
][];

/**
 * Reads argv and the config file: a flag wins over the file, the file over the default. An unknown key of the file is
 * a warning with a suggestion, never a refusal to start; a wrong value is `invalid-argument` naming file and key.
 */
export function readInvocation(argv: readonly string[]): Invocation {
  const flags = parseFlags(argv);
  if (flags["help"] === true) return { action: "help" };
  if (flags["version"] === true) return { action: "version" };
  const named = flags["config"];
  const file = typeof named === "string" ? named : defaultConfigFile;
  const { values, warnings } = readFile(file, typeof named === "string" ? "must-exist" : "may-be-absent");
  const config = Object.fromEntries(
    all.map(([name, setting]) => [name, pick(setting, flags[flagOf(setting).slice(2)], values, file)]),
  ) as unknown as Config;
  return {
    action: flags["check-config"] === true ? "check" : "serve",
    config: Object.freeze(config),
    warnings,
  };
}

/** The text of `berthd --help`. */
export function helpText(): string {
  const lines = all.map(([, setting]) => {
    const shown = Array.isArray(setting.fallback) ? setting.fallback.join(",") : String(setting.fallback);
    return `  ${flagOf(setting)} ${setting.placeholder}\n      ${setting.doc}${shown === "" ? "" : ` [${shown}]`}`;
  });
  return [
    "berthd serves the Kubernetes CRI on a unix socket.",
    "",
    "Usage: berthd [flags]",
    "",
    `  --config PATH\n      The config file (TOML); flags win over it. [${defaultConfigFile}, where it exists]`,
    ...lines,
    "  --check-config\n      Read the configuration, print it, and end.",
    "  --version\n      Print the version and end.",
    "  --help\n      Print this and end.",
    "",
  ].join("\n");
}

function parseFlags(argv: readonly string[]): Record<string, string | boolean | undefined> {
  const options: Record<string, { type: "string" | "boolean" }> = {
    config: { type: "string" },
    help: { type: "boolean" },
    version: { type: "boolean" },
    "check-config": { type: "boolean" },
  };
  for (const [, setting] of all) options[flagOf(setting).slice(2)] = { type: "string" };
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: false }).values;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split(". ")[0] ?? error.message) : String(error);
    throw new RuntimeError("invalid-argument", `${reason} (see berthd --help)`, { cause: error });
  }
}

function readFile(
  file: string,
  presence: "must-exist" | "may-be-absent",
): { values: ReadonlyMap<string, unknown>; warnings: string[] } {
  if (presence === "may-be-absent" && !existsSync(file)) return { values: new Map(), warnings: [] };
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new RuntimeError(
      "invalid-argument",
      `cannot read the config file ${file}: ${(error as Error).message}`,
    );
  }
  let document: Record<string, unknown>;
  try {
    document = parseToml(text);
  } catch (error) {
    const place = error instanceof TomlError ? `${file}:${error.line}:${error.column}` : file;
    throw new RuntimeError("invalid-argument", `${place}: ${(error as Error).message.split("\n")[0] ?? ""}`);
  }
  const values = new Map<string, unknown>();
  flatten(document, "", values);
  const known = new Set(all.map(([, setting]) => setting.key));
  const warnings = [...values.keys()]
    .filter((key) => !known.has(key))
    .map((key) => `${file}${lineOf(text, key)}: unknown key ${key}${suggestion(key, known)}`);
  return { values, warnings };
}

function flatten(value: unknown, prefix: string, into: Map<string, unknown>): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value))
      flatten(inner, prefix === "" ? key : `${prefix}.${key}`, into);
  } else {
    into.set(prefix, value);
  }
}

function pick(
  setting: Setting<unknown>,
  flag: string | boolean | undefined,
  values: ReadonlyMap<string, unknown>,
  file: string,
): unknown {
  if (flag !== undefined) return setting.read(flag);
  if (!values.has(setting.key)) return setting.fallback;
  try {
    return setting.read(values.get(setting.key));
  } catch (error) {
    if (error instanceof RuntimeError) throw new RuntimeError(error.code, `${file}: ${error.message}`);
    throw error;
  }
}

function lineOf(text: string, key: string): string {
  const last = key.split(".").at(-1) ?? key;
  const index = text.split("\n").findIndex((line) => line.trimStart().startsWith(last));
  return index < 0 ? "" : `:${index + 1}`;
}

function suggestion(key: string, known: Iterable<string>): string {
  const near = nearest(key, known);
  return near === undefined ? "; it is ignored" : `; did you mean ${near}?`;
}
