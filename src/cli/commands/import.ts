import { createReadStream } from "node:fs";
import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { printImported, sendArchive } from "../send-archive.ts";

export const importImage = defineCommand({
  name: "import",
  usage: "FILE",
  summary: "Put the images of a tar archive into the store.",
  details: ["FILE is an OCI image layout or the output of `docker save`; - reads standard input."],
  options: {
    name: { kind: "text", short: "n", placeholder: "IMAGE", doc: "What to call the archive's only image." },
  },
  words: { least: 1, most: 1 },
  run: async (context, { name = "" }, [file = ""]) => {
    const { stdin } = context.terminal;
    if (file === "-" && stdin.isTTY) {
      throw new RuntimeError("invalid-argument", "standard input is a terminal, not an archive");
    }
    const archive = file === "-" ? stdin : createReadStream(file);
    const images = await sendArchive(context.client, name, archive, context.signal);
    printImported(context, images);
    return 0;
  },
});
