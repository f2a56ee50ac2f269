import type { PodSandboxStatus__Output } from "../../cri/types/runtime/v1/PodSandboxStatus.ts";
import type { PodSandboxStateValue } from "../../cri/types/runtime/v1/PodSandboxStateValue.ts";
import { RuntimeError } from "../../core/errors.ts";
import { defineCommand } from "../command.ts";
import { age, shortId } from "../format.ts";
import { readLabels } from "../labels.ts";
import { print, printList } from "../print.ts";
import { statuses } from "../statuses.ts";

export const pods = defineCommand({
  name: "pods",
  usage: "",
  summary: "List pods with their state and addresses.",
  options: {
    state: { kind: "text", placeholder: "ready|not-ready", doc: "Only pods in this state." },
    label: { kind: "list", short: "l", placeholder: "KEY=VALUE", doc: "Only pods with this label." },
    quiet: { kind: "flag", short: "q", doc: "Print ids alone." },
  },
  words: { least: 0, most: 0 },
  run: async (context, options) => {
    const { items } = await context.client.runtime.ListPodSandbox({
      filter: { label_selector: readLabels(options.label), state: stateOf(options.state) },
    });
    const found = await statuses(items, async ({ id }) => {
      const { status } = await context.client.runtime.PodSandboxStatus({ pod_sandbox_id: id });
      return status;
    });
    if (options.quiet && context.format === "text") {
      print(context, found, (list) => list.map((pod) => pod.id).join("\n"));
      return 0;
    }
    printList(context, found, ["POD", "NAMESPACE", "NAME", "STATE", "ADDRESS", "AGE"], (pod) => [
      shortId(pod.id),
      pod.metadata?.namespace ?? "",
      pod.metadata?.name ?? "",
      podState(pod),
      addresses(pod),
      age(pod.created_at, context.now()),
    ]);
    return 0;
  },
});

function stateOf(word: string | undefined): PodSandboxStateValue | null {
  if (word === undefined) return null;
  if (word === "ready") return { state: "SANDBOX_READY" };
  if (word === "not-ready") return { state: "SANDBOX_NOTREADY" };
  throw new RuntimeError(
    "invalid-argument",
    `--state: expected ready or not-ready, not ${JSON.stringify(word)}`,
  );
}

function podState(pod: PodSandboxStatus__Output): string {
  return pod.state === "SANDBOX_READY" ? "ready" : "not ready";
}

function addresses(pod: PodSandboxStatus__Output): string {
  if (pod.linux?.namespaces?.options?.network === "NODE") return "(host)";
  const { ip = "", additional_ips = [] } = pod.network ?? {};
  return [ip, ...additional_ips.map((more) => more.ip)].filter((address) => address !== "").join(" ");
}
