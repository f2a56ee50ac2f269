import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";

/** Bytes of a configuration with its previous result. */
const maxInputBytes = 4 * 1024 * 1024;

export const cni = defineCommand({
  name: "cni",
  usage: "PLUGIN",
  summary: "Be a CNI plugin: one of those that are built in, for another runtime.",
  details: [
    "Obeys the CNI protocol: the command in CNI_COMMAND, the configuration on standard input, the answer, errors too, on " +
      "standard output. It works without the daemon. A link to this program that is named as the plugin, in a folder " +
      "that another runtime looks for plugins in, does the same.",
  ],
  options: {},
  words: { least: 1, most: 1 },
  run: async (context, _options, [type = ""]) => {
    // Here alone: every other command would start later for it.
    const { runPluginProgram } = await import("../../cni/program.ts");
    const { exitCode, stdout } = await runPluginProgram({
      type,
      environment: process.env,
      stdin: await readInput(context.terminal.stdin),
      signal: context.signal,
      note: (text) => void context.terminal.stderr.write(`${text}\n`),
    });
    context.terminal.stdout.write(stdout);
    return exitCode;
  },
});

async function readInput(stdin: NodeJS.ReadStream): Promise<string> {
  if (stdin.isTTY)
    throw new RuntimeError("invalid-argument", "standard input is a terminal, not a configuration");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk as Buffer);
    bytes += buffer.length;
    if (bytes > maxInputBytes) {
      throw new RuntimeError("invalid-argument", `standard input: more than ${maxInputBytes} bytes`);
    }
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
