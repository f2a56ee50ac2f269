import type { OptionSpec, OptionSpecs } from "./arguments.ts";
import { catalog } from "./catalog.ts";
import { globalOptions, type Command } from "./command.ts";

const width = 100;

/** What `berth --help` prints. */
export function overview(): string {
  const commands = catalog.flatMap(({ title, commands: group }) => [
    "",
    `${title}:`,
    ...group.map(({ name, summary }) => `  ${name.padEnd(15)}  ${summary}`),
  ]);
  return [
    "berth talks to berthd, the daemon that runs this node's pods.",
    "",
    "Usage: berth [OPTIONS] COMMAND [ARGUMENT...]",
    ...commands,
    "",
    "Options:",
    ...optionLines(globalOptions),
    "",
    "Pods, containers and images may be named by a unique beginning of their id, or by name.",
    "`berth COMMAND --help` tells more. Exit codes: 0 done, 1 failed, 2 wrong usage.",
    "",
  ].join("\n");
}

/** What `berth COMMAND --help` prints. */
export function helpOn({ name, usage, summary, details, options }: Command): string {
  return [
    `Usage: berth ${name} [OPTIONS] ${usage}`.trim(),
    "",
    ...[summary, ...details].flatMap((paragraph) => [...wrap(paragraph, width), ""]),
    "Options:",
    ...optionLines({ ...options, ...globalOptions }),
    "",
  ].join("\n");
}

function optionLines(specs: OptionSpecs): string[] {
  const names = Object.entries(specs).map(([name, spec]) => optionName(name, spec));
  const column = Math.max(...names.filter((name) => name.length <= maxNameWidth).map((name) => name.length));
  return Object.values(specs).flatMap((spec, index) => {
    const name = names[index] ?? "";
    const [first = "", ...more] = wrap(spec.doc, width - column - 4);
    const rest = more.map((line) => `${" ".repeat(column + 4)}${line}`);
    return name.length > column
      ? [`  ${name}`, `${" ".repeat(column + 4)}${first}`, ...rest]
      : [`  ${name.padEnd(column)}  ${first}`, ...rest];
  });
}

/** A longer name has its text on the next line. */
const maxNameWidth = 30;

function optionName(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? "    " : `-${spec.short}, `;
  return `${short}--${name}${spec.kind === "flag" ? "" : ` ${spec.placeholder}`}`;
}

function wrap(text: string, columns: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
