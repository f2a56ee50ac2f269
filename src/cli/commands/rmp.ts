import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { findPod } from "../find.ts";
import { shortId } from "../format.ts";
import { forEach } from "../print.ts";
import { removePod } from "../pod-of-run.ts";

export const rmp = defineCommand({
  name: "rmp",
  usage: "POD...",
  summary: "Stop pods and remove them with their containers and network.",
  options: { force: { kind: "flag", short: "f", doc: "Also pods that have running containers." } },
  words: { least: 1, most: Infinity },
  run: (context, { force }, words) =>
    forEach(context, words, async (word) => {
      const pod = await findPod(context.client, word);
      if (!force) {
        const { containers } = await context.client.runtime.ListContainers({
          filter: { pod_sandbox_id: pod.id, state: { state: "CONTAINER_RUNNING" } },
        });
        if (containers.length > 0) {
          throw new RuntimeError(
            "failed-precondition",
            `pod ${shortId(pod.id)} has ${containers.length} running: stop them first, or use --force`,
          );
        }
      }
      await removePod(context.client, pod);
      return pod.id;
    }),
});
