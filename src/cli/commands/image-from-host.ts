import { defineCommand } from "../command.ts";
import { hostBinaries, usualBinaries } from "../host-binaries.ts";
import { printImported } from "../send-archive.ts";

/** A name that no registry has. */
const defaultName = "localhost/from-host:latest";

export const imageFromHost = defineCommand({
  name: "image-from-host",
  usage: "[BINARY...]",
  summary: "Make an image of this machine's own binaries and the libraries they need.",
  details: [
    "No registry and no network are needed. BINARY is a path or a name to be looked for in PATH; without one it is " +
      "a static busybox where there is one, else a shell and the usual small commands.",
  ],
  options: {
    name: { kind: "text", short: "n", placeholder: "IMAGE", doc: `What to call it. [${defaultName}]` },
  },
  words: { least: 0, most: Infinity },
  run: async (context, { name = defaultName }, words) => {
    const binaries = words.length === 0 ? await usualBinaries() : await hostBinaries(words);
    const { images } = await context.client.admin.ImageFromHost(
      { reference: name, binaries },
      { signal: context.signal },
    );
    printImported(context, images);
    return 0;
  },
});
