import { defineCommand } from "../command.ts";
import { execute } from "../exec-session.ts";
import { findContainer } from "../find.ts";

export const exec = defineCommand({
  name: "exec",
  usage: "CONTAINER COMMAND [ARGUMENT...]",
  summary: "Run a command in a running container.",
  details: [
    "Exits with the command's own code, or 128 and the number of the signal that ended it. No shell is involved: " +
      "what a shell is to interpret goes through `sh -c`.",
  ],
  options: {
    interactive: {
      kind: "flag",
      short: "i",
      doc: "Pass standard input on; otherwise the command reads none.",
    },
    tty: { kind: "flag", short: "t", doc: "Give the command a terminal." },
  },
  words: { least: 2, most: Infinity },
  wordsBeforeCommand: 1,
  run: async (context, options, [word = "", ...cmd]) => {
    const container = await findContainer(context.client, word);
    return execute(context, {
      container_id: container.id,
      cmd,
      tty: options.tty,
      stdin: options.interactive,
    });
  },
});
