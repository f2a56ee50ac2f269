import { defineCommand } from "../command.ts";
import { print } from "../print.ts";

export const tag = defineCommand({
  name: "tag",
  usage: "IMAGE NAME",
  summary: "Give an image a further name, which the image that had it loses.",
  options: {},
  words: { least: 2, most: 2 },
  run: async (context, _options, [source = "", target = ""]) => {
    const tagged = await context.client.admin.TagImage({ source, target }, { signal: context.signal });
    print(context, tagged, ({ references }) => references.join("\n"));
    return 0;
  },
});
