import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { findContainer } from "../find.ts";
import { shortId } from "../format.ts";
import { forEach } from "../print.ts";

export const rm = defineCommand({
  name: "rm",
  usage: "CONTAINER...",
  summary: "Remove containers that have ended; their pod stays, see rmp.",
  options: { force: { kind: "flag", short: "f", doc: "Kill running containers and remove them." } },
  words: { least: 1, most: Infinity },
  run: (context, { force }, words) =>
    forEach(context, words, async (word) => {
      const { id, state } = await findContainer(context.client, word);
      if (state === "CONTAINER_RUNNING" && !force) {
        throw new RuntimeError(
          "failed-precondition",
          `container ${shortId(id)} is running: stop it first, or use --force`,
        );
      }
      await context.client.runtime.RemoveContainer({ container_id: id });
      return id;
    }),
});
