import { parseReference } from "../../images/client.ts";
import { defineCommand } from "../command.ts";
import { print } from "../print.ts";
import { withProgress } from "../progress.ts";
import { authOptions, readAuth } from "../registry-auth.ts";

export const pull = defineCommand({
  name: "pull",
  usage: "IMAGE",
  summary: "Fetch an image from its registry.",
  details: ["Ctrl-C stops the download unless somebody else waits for the same image."],
  options: authOptions,
  words: { least: 1, most: 1 },
  run: async (context, options, [image = ""]) => {
    const registryOf = (): string => parseReference(image).registry;
    const auth = await readAuth(options, registryOf, context.terminal.stdin);
    const { image_ref } = await withProgress(context, { kind: "PullImage", subject: image }, () =>
      context.client.image.PullImage(
        { image: { image }, auth },
        { deadlineMs: Infinity, signal: context.signal },
      ),
    );
    print(context, { image, image_ref }, () => image_ref);
    return 0;
  },
});
