import type { Image__Output } from "../../cri/types/runtime/v1/Image.ts";
import { defineCommand } from "../command.ts";
import { shortId, size } from "../format.ts";
import { print, printList } from "../print.ts";

export const images = defineCommand({
  name: "images",
  usage: "",
  summary: "List the images in the store.",
  options: { quiet: { kind: "flag", short: "q", doc: "Print ids alone." } },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const { images: found } = await context.client.image.ListImages({});
    if (options.quiet && context.format === "text") {
      print(context, found, (list) => list.map((image) => image.id).join("\n"));
    } else if (context.format === "json") {
      print(context, found, () => "");
    } else {
      const named = found.flatMap((image) => names(image).map((name) => ({ name, image })));
      named.sort((a, b) => a.name.localeCompare(b.name));
      printList(context, named, ["NAME", "IMAGE", "SIZE", ""], ({ name, image }) => [
        name,
        shortId(image.id),
        size(Number(image.size)),
        image.pinned ? "pinned" : " ",
      ]);
    }
    return 0;
  },
});

/** An image has a line for each tag; one that has none is shown by its digest. */
function names(image: Image__Output): readonly string[] {
  if (image.repo_tags.length > 0) return image.repo_tags;
  return image.repo_digests.length > 0 ? image.repo_digests : [""];
}
