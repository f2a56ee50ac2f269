import { defineCommand } from "../command.ts";
import { RuntimeError } from "../../core/errors.ts";
import { readPair } from "../labels.ts";
import { readPublish } from "../publish.ts";
import { runContainer, waitForExit } from "../run-container.ts";
import { shortId } from "../format.ts";
import { printLog } from "../log/print-log.ts";
import { removePod } from "../pod-of-run.ts";
import { print } from "../print.ts";

export const run = defineCommand({
  name: "run",
  usage: "IMAGE [COMMAND [ARGUMENT...]]",
  summary: "Start a container in a pod of its own.",
  details: [
    "Prints the ids of pod and container and returns, or with --follow prints the container's output and exits with " +
      "its code. COMMAND takes the place of the image's arguments, as args do in a Kubernetes pod. An image that is " +
      "not in the store is fetched.",
  ],
  options: {
    name: { kind: "text", short: "n", placeholder: "NAME", doc: "Name of pod and container. [run-<time>]" },
    follow: { kind: "flag", short: "f", doc: "Print the output until the container ends." },
    rm: { kind: "flag", doc: "Follow, then remove the pod; Ctrl-C ends the container first." },
    env: { kind: "list", short: "e", placeholder: "KEY=VALUE", doc: "Set a variable." },
    publish: {
      kind: "list",
      short: "p",
      placeholder: "[IP:]HOST:CONTAINER[/PROTOCOL]",
      doc: "Forward a port of the host to the container; tcp, udp or sctp.",
    },
    label: { kind: "list", short: "l", placeholder: "KEY=VALUE", doc: "Label pod and container." },
    "host-network": { kind: "flag", doc: "Use the host's network instead of one for the pod." },
    privileged: { kind: "flag", doc: "Give the container all that the daemon may do. Dangerous." },
    "read-only": { kind: "flag", doc: "Mount the image read-only." },
  },
  words: { least: 1, most: Infinity },
  wordsBeforeCommand: 1,
  run: async (context, options, [image = "", ...args]) => {
    const { client, format, signal } = context;
    const made = await runContainer(client, signal, {
      name: options.name ?? `run-${context.now().toString(36)}`,
      image,
      args,
      env: options.env.map((word) => readPair("env", word)),
      labels: Object.fromEntries(options.label.map((word) => readPair("label", word))),
      ports: options.publish.map(readPublish),
      network: options["host-network"] ? "host" : "pod",
      privileges: options.privileged ? "all" : "default",
      rootfs: options["read-only"] ? "read-only" : "writable",
    });
    if (!options.follow && !options.rm) {
      const { pod, container, address } = made;
      print(context, { pod: pod.id, container, address }, () =>
        [
          `pod        ${pod.id}`,
          `container  ${container}`,
          ...(address === "" ? [] : [`address    ${address}`]),
        ].join("\n"),
      );
      return 0;
    }
    if (format === "json" && options.follow) {
      print(context, { pod: made.pod.id, container: made.container, address: made.address }, () => "");
    }
    try {
      await printLog(context, made.container, made.logPath, { follow: true, timestamps: false });
      const { exit_code, reason, message } = await waitForExit(client, made.container);
      if (exit_code !== 0 && message !== "") context.terminal.stderr.write(`berth: ${reason}: ${message}\n`);
      return exit_code;
    } catch (thrown) {
      if (signal.aborted && !options.rm) {
        throw new RuntimeError(
          "aborted",
          `container ${shortId(made.container)} goes on without this command`,
        );
      }
      throw thrown;
    } finally {
      if (options.rm) await removePod(client, made.pod);
    }
  },
});
