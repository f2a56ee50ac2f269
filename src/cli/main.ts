import { RuntimeError } from "../core/errors.ts";
import { nearest } from "../core/nearest.ts";
import { parseArguments } from "./arguments.ts";
import { commandsByName } from "./catalog.ts";
import { openClient } from "./client.ts";
import { globalOptions, type PreparedCommand } from "./command.ts";
import { helpOn, overview } from "./help.ts";
import { packageVersion } from "./package-version.ts";
import { printError } from "./print.ts";
import type { Terminal } from "./terminal.ts";

const exitFailed = 1;
const exitUsage = 2;
/** As shells count it: 128 and SIGINT's number. */
const exitInterrupted = 130;

const defaultSocket = "/run/berth/berth.sock";

const terminal: Terminal = process;
exitQuietlyWithoutReader();
process.exitCode = await main(process.argv.slice(2));
// Whatever still reads the terminal or waits for a peer has no one left to tell.
process.stdout.write("", () => {
  process.exit();
});

async function main(argv: readonly string[]): Promise<number> {
  let prepared: Understood;
  try {
    prepared = understand(argv);
  } catch (thrown) {
    printError({ terminal, format: argv.includes("--json") ? "json" : "text" }, thrown);
    return exitUsage;
  }
  if ("text" in prepared) {
    terminal.stdout.write(prepared.text);
    return 0;
  }
  const { command, globals } = prepared;
  const format = globals.json || command.global.json ? "json" : "text";
  const socket = command.global.socket ?? globals.socket ?? process.env["BERTH_SOCKET"] ?? defaultSocket;
  const signal = abortOnSignal();
  try {
    using client = openClient(socket);
    return await command.run({ client, terminal, format, signal, now: Date.now });
  } catch (thrown) {
    printError({ terminal, format }, signal.aborted ? signal.reason : thrown);
    return signal.aborted ? exitInterrupted : exitFailed;
  }
}

type Understood =
  | { readonly text: string }
  | { readonly command: PreparedCommand; readonly globals: ReturnType<typeof parseGlobals>["options"] };

/** Reads a command line; throws `invalid-argument` where it means nothing. */
function understand(argv: readonly string[]): Understood {
  const { options, words } = parseGlobals(argv);
  const [name, ...args] = words;
  if (options.version) return { text: `berth ${packageVersion()}\n` };
  if (name === undefined || name === "help") {
    const [about] = args;
    if (about !== undefined) return { text: helpOn(commandNamed(about)) };
    if (name === undefined && !options.help) {
      throw new RuntimeError("invalid-argument", "no command given; see berth --help");
    }
    return { text: overview() };
  }
  const command = commandNamed(name);
  const prepared = command.prepare(args);
  if (options.help || prepared.global.help) return { text: helpOn(command) };
  return { command: prepared, globals: options };
}

/** Options before the command. */
function parseGlobals(argv: readonly string[]) {
  const specs = { ...globalOptions, version: { kind: "flag", doc: "Print the version and end." } } as const;
  return parseArguments(specs, argv, 1);
}

function commandNamed(name: string): NonNullable<ReturnType<typeof commandsByName.get>> {
  const command = commandsByName.get(name);
  if (command !== undefined) return command;
  const near = nearest(name, commandsByName.keys());
  const advice = near === undefined ? "see berth --help" : `did you mean ${near}?`;
  throw new RuntimeError("invalid-argument", `unknown command ${JSON.stringify(name)}; ${advice}`);
}

/** The first signal asks the command to end in good order, the second one ends it. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitInterrupted);
      controller.abort(new RuntimeError("aborted", "interrupted"));
    });
  }
  return controller.signal;
}

/** `berth logs | head`: a reader that has seen enough is no error. */
function exitQuietlyWithoutReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  }
}
