import { rm } from "node:fs/promises";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import type { PodSandbox__Output } from "../cri/types/runtime/v1/PodSandbox.ts";
import type { PodSandboxMetadata } from "../cri/types/runtime/v1/PodSandboxMetadata.ts";
import type { Client } from "./client.ts";
import { readInfo } from "./daemon-info.ts";

/** The namespace of pods that `berth run` makes; the kubelet's are named after Kubernetes' own. */
export const podNamespace = "berth-run";

/** What identifies a pod of `berth run`; two of one name may exist one after the other. */
export function newPodMetadata(name: string): Required<PodSandboxMetadata> {
  return { name, namespace: podNamespace, uid: randomUUID(), attempt: 0 };
}

/** Where the logs of a pod of `berth run` lie; it has no kubelet that would bring a folder along and remove it. */
export async function logFolder(
  client: Client,
  { name, namespace, uid }: Pick<PodSandboxMetadata, "name" | "namespace" | "uid">,
): Promise<string> {
  const { paths } = await readInfo(client);
  return join(paths.root, "logs", [namespace, name, uid].join("_").replaceAll("/", "-"));
}

/** Stops and removes a pod; the logs of one that `berth run` made go with it. Removing what is gone is no error. */
export async function removePod(
  client: Client,
  pod: Pick<PodSandbox__Output, "id" | "metadata">,
): Promise<void> {
  await client.runtime.StopPodSandbox({ pod_sandbox_id: pod.id });
  await client.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id });
  if (pod.metadata?.namespace === podNamespace) {
    await rm(await logFolder(client, pod.metadata), { recursive: true, force: true });
  }
}
