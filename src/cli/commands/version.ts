import { packageVersion } from "../package-version.ts";
import { defineCommand } from "../command.ts";
import { print } from "../print.ts";

export const version = defineCommand({
  name: "version",
  usage: "",
  summary: "Print the versions of this command and of the daemon.",
  options: {},
  words: { least: 0, most: 0 },
  run: async (context) => {
    const client = packageVersion();
    // The client's own version is worth knowing even where nobody answers.
    const daemon = await context.client.runtime.Version({}).catch((thrown: unknown) => {
      print(context, { client, daemon: null }, () => `berth   ${client}`);
      throw thrown;
    });
    print(
      context,
      { client, daemon },
      () =>
        `berth   ${client}\nberthd  ${daemon.runtime_version}, CRI ${daemon.runtime_api_version} at ${context.client.socket}`,
    );
    return 0;
  },
});
