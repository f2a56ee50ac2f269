import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { findImageById } from "../find.ts";
import { forEach } from "../print.ts";

export const rmi = defineCommand({
  name: "rmi",
  usage: "IMAGE...",
  summary: "Remove images with all of their names.",
  options: {},
  words: { least: 1, most: Infinity },
  run: (context, _options, words) =>
    forEach(context, words, async (word) => {
      const { image: service } = context.client;
      const { image } = await service.ImageStatus({ image: { image: word } });
      const id = image?.id ?? (await findImageById(context.client, word))?.id;
      if (id === undefined) throw new RuntimeError("not-found", `no image ${JSON.stringify(word)}`);
      await service.RemoveImage({ image: { image: id } });
      return id;
    }),
});
