import { RuntimeError } from "../core/errors.ts";
import type { AttachmentCommand } from "./plugin.ts";

/** The pod as plugins are told of it. */
export interface PodIdentity {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

/** CNI_ARGS for a pod, with the keys that plugins know from other runtimes; throws `invalid-argument`. */
export function podArguments(pod: PodIdentity): string {
  const pairs = [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", pod.namespace],
    ["K8S_POD_NAME", pod.name],
    ["K8S_POD_INFRA_CONTAINER_ID", pod.id],
    ["K8S_POD_UID", pod.uid],
  ] as const;
  for (const [key, value] of pairs) {
    if (/[;=\0]/.test(value)) {
      throw new RuntimeError(
        "invalid-argument",
        `pod ${pod.id}: ${key} cannot hold ${JSON.stringify(value)}`,
      );
    }
  }
  return pairs.map((pair) => pair.join("=")).join(";");
}

/** Reads CNI_ARGS into pairs; a part without exactly one `=` throws `invalid-argument`. */
export function parseArguments(args: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const part of args.split(";").filter((text) => text !== "")) {
    const [key, value, ...rest] = part.split("=");
    if (key === undefined || value === undefined || rest.length > 0) {
      throw new RuntimeError("invalid-argument", `CNI_ARGS: not a pair: ${JSON.stringify(part)}`);
    }
    pairs.set(key, value);
  }
  return pairs;
}

/** The variables that a plugin's process gets on top of its environment (CNI spec 1.1, section 2). */
export function attachmentEnvironment(
  command: AttachmentCommand,
  call: {
    readonly containerId: string;
    readonly netns: string;
    readonly ifname: string;
    readonly args: string;
  },
  pluginFolders: readonly string[],
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_ARGS: call.args,
    CNI_PATH: pluginFolders.join(":"),
  };
}
