import { createInterface } from "node:readline/promises";
import { RuntimeError } from "../../core/errors.ts";
import type { AuthConfig } from "../../cri/types/runtime/v1/AuthConfig.ts";
import { defineCommand } from "../command.ts";
import { print } from "../print.ts";
import { withProgress } from "../progress.ts";

export const pull = defineCommand({
  name: "pull",
  usage: "IMAGE",
  summary: "Fetch an image from its registry.",
  details: ["Ctrl-C stops the download unless somebody else waits for the same image."],
  options: {
    username: { kind: "text", short: "u", placeholder: "NAME", doc: "Name to log in with at the registry." },
    "password-stdin": { kind: "flag", doc: "Read the password from the first line of standard input." },
  },
  words: { least: 1, most: 1 },
  run: async (context, options, [image = ""]) => {
    const auth = await readAuth(options.username, options["password-stdin"], context.terminal.stdin);
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

/** A password on the command line would show in the process list, so there is no option for one. */
async function readAuth(
  username: string | undefined,
  passwordStdin: boolean,
  stdin: NodeJS.ReadableStream,
): Promise<AuthConfig | null> {
  if (username === undefined && !passwordStdin) return null;
  if (username === undefined || !passwordStdin) {
    throw new RuntimeError("invalid-argument", "--username and --password-stdin belong together");
  }
  const lines = createInterface({ input: stdin });
  try {
    for await (const password of lines) return { username, password };
  } finally {
    lines.close();
  }
  throw new RuntimeError("invalid-argument", "--password-stdin: standard input is empty");
}
