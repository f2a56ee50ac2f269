import type { ContainerStatus__Output } from "../../cri/types/runtime/v1/ContainerStatus.ts";
import { defineCommand } from "../command.ts";
import { findPod } from "../find.ts";
import { age, shortId } from "../format.ts";
import { readLabels } from "../labels.ts";
import { print, printList } from "../print.ts";
import { statuses } from "../statuses.ts";

export const ps = defineCommand({
  name: "ps",
  usage: "",
  summary: "List running containers, or all of them.",
  options: {
    all: { kind: "flag", short: "a", doc: "Also containers that have not started or have ended." },
    pod: { kind: "text", short: "p", placeholder: "POD", doc: "Only containers of this pod." },
    label: { kind: "list", short: "l", placeholder: "KEY=VALUE", doc: "Only containers with this label." },
    quiet: { kind: "flag", short: "q", doc: "Print ids alone." },
  },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const { runtime } = context.client;
    const pod = options.pod === undefined ? undefined : await findPod(context.client, options.pod);
    const { containers } = await runtime.ListContainers({
      filter: {
        label_selector: readLabels(options.label),
        pod_sandbox_id: pod?.id ?? "",
        state: options.all ? null : { state: "CONTAINER_RUNNING" },
      },
    });
    const { items } = await runtime.ListPodSandbox({});
    const podNames = new Map(items.map((item) => [item.id, item.metadata?.name ?? ""]));
    const found = await statuses(containers, async ({ id, pod_sandbox_id }) => {
      const { status } = await runtime.ContainerStatus({ container_id: id });
      return status === null ? null : { ...status, pod_sandbox_id };
    });
    if (options.quiet && context.format === "text") {
      print(context, found, (list) => list.map((container) => container.id).join("\n"));
      return 0;
    }
    const now = context.now();
    printList(context, found, ["CONTAINER", "POD", "NAME", "IMAGE", "STATE", "AGE"], (container) => [
      shortId(container.id),
      podNames.get(container.pod_sandbox_id) ?? shortId(container.pod_sandbox_id),
      containerName(container),
      imageName(container),
      containerState(container, now),
      age(container.created_at, now),
    ]);
    return 0;
  },
});

function containerName({ metadata }: ContainerStatus__Output): string {
  if (metadata === null) return "";
  return metadata.attempt === 0 ? metadata.name : `${metadata.name} (attempt ${metadata.attempt})`;
}

/** The kubelet asks for images by id; what the pod's author wrote says more. */
function imageName({ image, image_ref }: ContainerStatus__Output): string {
  const name =
    [image?.user_specified_image, image?.image, image_ref].find((text) => (text ?? "") !== "") ?? "";
  return /^(sha256:)?[0-9a-f]{64}$/.test(name) ? shortId(name) : name;
}

function containerState(container: ContainerStatus__Output, now: number): string {
  switch (container.state) {
    case "CONTAINER_CREATED":
      return "created";
    case "CONTAINER_RUNNING":
      return `running ${age(container.started_at, now)}`;
    case "CONTAINER_EXITED": {
      const reason = ["Completed", "Error", ""].includes(container.reason) ? "" : ` ${container.reason}`;
      return `exited (${container.exit_code}${reason}) ${age(container.finished_at, now)} ago`;
    }
    default:
      return "unknown";
  }
}
