import { defineCommand } from "../command.ts";
import { outputOption, receiveArchive } from "../receive-archive.ts";

export const save = defineCommand({
  name: "save",
  usage: "IMAGE...",
  summary: "Write images as a tar archive.",
  details: [
    "The archive is an OCI image layout and the output of `docker save` at once, and every digest stays. Layers whose " +
      "compressed form is not kept are fetched from the image's registry again.",
    "A tag is saved alone; an image that its id names is saved with all of its tags.",
  ],
  options: outputOption,
  words: { least: 1, most: Infinity },
  run: async (context, { output }, images) => {
    await receiveArchive(context, { method: "SaveImages", request: { images: [...images] } }, output);
    return 0;
  },
});
