import { defineCommand } from "../command.ts";
import { shortId, size } from "../format.ts";
import { print } from "../print.ts";
import { table } from "../table.ts";

export const gc = defineCommand({
  name: "gc",
  usage: "",
  summary: "Remove images that nothing uses.",
  details: [
    "An image is used by the containers that were made of it or have it as a volume, in whatever state they are; one " +
      "that images.pinned names is never removed. Layers go with the last image or container that needs them.",
  ],
  options: {
    all: { kind: "flag", short: "a", doc: "Named images as well, not only those without a tag." },
    "dry-run": { kind: "flag", short: "n", doc: "Only show what would go." },
  },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const collected = await context.client.admin.CollectGarbage(
      { all: options.all, dry_run: options["dry-run"] },
      { deadlineMs: Infinity, signal: context.signal },
    );
    const { images, freed_bytes } = collected;
    print(context, collected, () => {
      const freed = `${options["dry-run"] ? "would free" : "freed"} ${size(Number(freed_bytes))}`;
      if (images.length === 0) return freed;
      const rows = images.map((image) => [image.references[0] ?? "", shortId(image.id)]);
      return `${table(["NAME", "IMAGE"], rows)}\n${freed}`;
    });
    return 0;
  },
});
