import { RuntimeError } from "../core/errors.ts";
import type { Client } from "./client.ts";
import type { OptionSpecs, OptionValues } from "./arguments.ts";
import { parseArguments } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** What a command works with. */
export interface Context {
  /** The daemon; nothing is connected before the first call. */
  readonly client: Client;
  readonly terminal: Terminal;
  /** Whether people or programs read what is printed. */
  readonly format: "text" | "json";
  /** Aborts on the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** How many words a command takes after its options. */
export interface WordCount {
  readonly least: number;
  readonly most: number;
}

/** A command as it is written: one file in commands/. */
export interface CommandDefinition<Specs extends OptionSpecs> {
  readonly name: string;
  /** The words after the options, for people: `CONTAINER COMMAND [ARGUMENT...]`. */
  readonly usage: string;
  readonly summary: string;
  /** Further paragraphs of the help. */
  readonly details?: readonly string[];
  readonly options: Specs;
  readonly words: WordCount;
  /** After this many words the command line belongs to a program to be run. */
  readonly wordsBeforeCommand?: number;
  /** Answers with the exit code. */
  readonly run: (context: Context, options: OptionValues<Specs>, words: readonly string[]) => Promise<number>;
}

/** A command, whatever its options are. */
export interface Command {
  readonly name: string;
  readonly usage: string;
  readonly summary: string;
  readonly details: readonly string[];
  readonly options: OptionSpecs;
  /** Reads the arguments at once (throws `invalid-argument`), and gives what is to be done. */
  readonly prepare: (args: readonly string[]) => PreparedCommand;
}

/** A command whose arguments were understood. */
export interface PreparedCommand {
  readonly global: OptionValues<typeof globalOptions>;
  readonly run: (context: Context) => Promise<number>;
}

/** Options that every command takes. */
export const globalOptions = {
  socket: {
    kind: "text",
    placeholder: "PATH",
    doc: "Socket of the daemon, over BERTH_SOCKET. [/run/berth/berth.sock]",
  },
  json: { kind: "flag", doc: "Print JSON, with fields named as in the contract; errors too." },
  help: { kind: "flag", short: "h", doc: "Print help and end." },
} as const satisfies OptionSpecs;

/** Makes a command of its definition; the options' types reach `run`. */
export function defineCommand<const Specs extends OptionSpecs>(
  definition: CommandDefinition<Specs>,
): Command {
  const { name, usage, summary, words: count } = definition;
  return {
    name,
    usage,
    summary,
    details: definition.details ?? [],
    options: definition.options,
    prepare: (args) => {
      const specs: Specs & typeof globalOptions = { ...globalOptions, ...definition.options };
      const { options, words } = parseArguments(specs, args, definition.wordsBeforeCommand);
      const global = options as unknown as OptionValues<typeof globalOptions>;
      if (!global.help) checkWords(definition, words.length, count);
      return {
        global,
        run: (context) => definition.run(context, options, words),
      };
    },
  };
}

function checkWords(
  command: { name: string; usage: string },
  given: number,
  { least, most }: WordCount,
): void {
  if (given >= least && given <= most) return;
  const problem = given < least ? "too few arguments" : "too many arguments";
  throw new RuntimeError(
    "invalid-argument",
    `${problem}; usage: ${["berth", command.name, command.usage].join(" ").trim()}`,
  );
}
