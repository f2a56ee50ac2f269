import { defineCommand } from "../command.ts";
import { findContainer } from "../find.ts";
import { forEach } from "../print.ts";

/** As long as a pod has by default to end in Kubernetes would be tedious by hand. */
const defaultTimeoutSeconds = 10;

/** What the daemon needs beyond the time that the container gets. */
const marginMs = 120_000;

export const stop = defineCommand({
  name: "stop",
  usage: "CONTAINER...",
  summary: "End containers: their stop signal, a wait, then SIGKILL.",
  options: {
    timeout: {
      kind: "whole",
      short: "t",
      placeholder: "SECONDS",
      least: 0,
      doc: `How long to wait before SIGKILL; 0 kills at once. [${defaultTimeoutSeconds}]`,
    },
  },
  words: { least: 1, most: Infinity },
  run: (context, { timeout = defaultTimeoutSeconds }, words) =>
    forEach(context, words, async (word) => {
      const { id } = await findContainer(context.client, word);
      await context.client.runtime.StopContainer(
        { container_id: id, timeout },
        { deadlineMs: timeout * 1_000 + marginMs, signal: context.signal },
      );
      return id;
    }),
});
