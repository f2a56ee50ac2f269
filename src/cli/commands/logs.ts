import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { findContainer } from "../find.ts";
import { shortId } from "../format.ts";
import { printLog } from "../log/print-log.ts";

export const logs = defineCommand({
  name: "logs",
  usage: "CONTAINER",
  summary: "Print what a container wrote.",
  details: [
    "Reads the container's current log file; what was rotated away lies beside it, see `berth inspect`. " +
      "What the container wrote to standard error goes to standard error.",
  ],
  options: {
    follow: { kind: "flag", short: "f", doc: "Go on until the container ends." },
    tail: { kind: "whole", short: "n", placeholder: "N", least: 0, doc: "Only the last N lines." },
    timestamps: { kind: "flag", short: "t", doc: "Print each line's time before it." },
  },
  words: { least: 1, most: 1 },
  run: async (context, options, [word = ""]) => {
    const { id } = await findContainer(context.client, word);
    const { status } = await context.client.runtime.ContainerStatus({ container_id: id });
    if (status === null || status.log_path === "") {
      throw new RuntimeError("failed-precondition", `container ${shortId(id)} keeps no log`);
    }
    await printLog(context, id, status.log_path, options);
    return 0;
  },
});
