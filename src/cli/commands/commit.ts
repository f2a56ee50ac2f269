import { defineCommand } from "../command.ts";
import { newImageOptions } from "../new-image.ts";
import { printImported } from "../send-archive.ts";

export const commit = defineCommand({
  name: "commit",
  usage: "CONTAINER IMAGE",
  summary: "Make an image of what a container has written.",
  details: [
    "The new image is the container's own with one layer more. What is mounted into the container is left out. The " +
      "container holds still while its files are read.",
  ],
  options: {
    ...newImageOptions,
    "no-pause": { kind: "flag", doc: "Let the container run on while its files are read." },
  },
  words: { least: 2, most: 2 },
  run: async (context, options, [container = "", reference = ""]) => {
    const { author = "", message = "", change } = options;
    const { images } = await context.client.admin.CommitContainer(
      {
        container_id: container,
        image: { reference, author, message, changes: [...change] },
        no_pause: options["no-pause"],
      },
      { deadlineMs: Infinity, signal: context.signal },
    );
    printImported(context, images);
    return 0;
  },
});
