import { parseReference } from "../../images/client.ts";
import { defineCommand } from "../command.ts";
import { print } from "../print.ts";
import { withProgress } from "../progress.ts";
import { authOptions, readAuth } from "../registry-auth.ts";

export const push = defineCommand({
  name: "push",
  usage: "IMAGE",
  summary: "Send an image to a registry.",
  details: [
    "The image keeps its digests. Layers that the registry has are not sent; others are mounted from the repository " +
      "that they came from, or taken from what images.keep_blobs keeps, or fetched again from where they came from.",
  ],
  options: {
    to: { kind: "text", placeholder: "NAME", doc: "Where to send it. [the image's own name]" },
    ...authOptions,
  },
  words: { least: 1, most: 1 },
  run: async (context, options, [source = ""]) => {
    const target = options.to ?? "";
    const registryOf = (): string => parseReference(target === "" ? source : target).registry;
    const auth = await readAuth(options, registryOf, context.terminal.stdin);
    const { reference } = await withProgress(context, { kind: "PushImage", subject: source }, () =>
      context.client.admin.PushImage(
        { source, target, auth },
        { deadlineMs: Infinity, signal: context.signal },
      ),
    );
    print(context, { source, reference }, () => reference);
    return 0;
  },
});
