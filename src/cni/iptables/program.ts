import { RuntimeError } from "../../core/errors.ts";
import { runProgram } from "../plugin-process.ts";

/** What iptables is run with. */
export interface IptablesOptions {
  /** PATH at least. */
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Begins every error. */
  readonly subject: string;
}

/** A table of iptables. */
export type IptablesTable = "filter" | "nat" | "raw";

/** One rule of a table, as iptables-save writes it, which iptables-restore reads back. */
export interface IptablesRule {
  readonly chain: string;
  /** What follows `-A CHAIN `. */
  readonly text: string;
  /** The words of the text, quotes taken off. */
  readonly words: readonly string[];
}

/** What a table holds. */
export interface IptablesContent {
  readonly chains: ReadonlySet<string>;
  readonly rules: readonly IptablesRule[];
}

/** How long iptables waits for its lock, in seconds. */
const lockWaitSeconds = "10";
const programs = { 4: "iptables", 6: "ip6tables" } as const;

/** Reads a table with iptables-save(8). */
export async function readTable(
  family: 4 | 6,
  table: IptablesTable,
  options: IptablesOptions,
): Promise<IptablesContent> {
  return parseTable(await run([`${programs[family]}-save`, "-t", table], "", options));
}

/** Changes tables with one iptables-restore(8); each table's lines take effect as a whole. */
export async function changeTables(
  family: 4 | 6,
  changes: readonly (readonly [IptablesTable, readonly string[]])[],
  options: IptablesOptions,
): Promise<void> {
  const parts = changes.filter(([, lines]) => lines.length > 0);
  if (parts.length === 0) return;
  const script = parts.map(([table, lines]) => [`*${table}`, ...lines, "COMMIT", ""].join("\n")).join("");
  await run([`${programs[family]}-restore`, "--noflush", "--wait", lockWaitSeconds], script, options);
}

/** Reads what iptables-save writes of one table. */
export function parseTable(text: string): IptablesContent {
  const chains = new Set<string>();
  const rules: IptablesRule[] = [];
  for (const line of text.split("\n")) {
    const chain = /^:(\S+)/.exec(line)?.[1];
    if (chain !== undefined) chains.add(chain);
    const rule = /^-A (\S+) (.*)$/.exec(line);
    if (rule?.[1] !== undefined && rule[2] !== undefined) {
      rules.push({ chain: rule[1], text: rule[2], words: splitWords(rule[2]) });
    }
  }
  return { chains, rules };
}

/** The value of an option in a rule's words; undefined where it is absent or negated. */
export function optionOf(rule: IptablesRule, option: string): string | undefined {
  const index = rule.words.indexOf(option);
  return index === -1 || rule.words[index - 1] === "!" ? undefined : rule.words[index + 1];
}

/** Writes one word of a rule; what is not plain is quoted. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

function splitWords(text: string): string[] {
  const words = text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  return words.map((word) => (word.startsWith('"') ? word.slice(1, -1).replaceAll(/\\(.)/g, "$1") : word));
}

async function run(
  command: readonly [string, ...string[]],
  input: string,
  { subject, environment, signal }: IptablesOptions,
): Promise<string> {
  const what = `${subject}: ${command[0]} (Debian package iptables)`;
  const outcome = await runProgram(what, command, environment, input, signal);
  if ("code" in outcome.exit && outcome.exit.code === 0) return outcome.stdout;
  throw new RuntimeError("internal", `${what} failed: ${outcome.stderr.trim()}`);
}
