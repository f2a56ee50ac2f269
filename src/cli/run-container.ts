import { mkdir, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeError } from "../core/errors.ts";
import type { ContainerStatus__Output } from "../cri/types/runtime/v1/ContainerStatus.ts";
import type { PodSandboxConfig } from "../cri/types/runtime/v1/PodSandboxConfig.ts";
import type { PodSandboxMetadata } from "../cri/types/runtime/v1/PodSandboxMetadata.ts";
import type { PortMapping } from "../cri/types/runtime/v1/PortMapping.ts";
import type { Client } from "./client.ts";
import { maskedPaths, readonlyPaths } from "./guarded-paths.ts";
import { logFolder, newPodMetadata, removePod } from "./pod-of-run.ts";

/** What to run. */
export interface RunRequest {
  /** Name of pod and container. */
  readonly name: string;
  readonly image: string;
  /** In place of the image's own arguments; empty keeps them. */
  readonly args: readonly string[];
  readonly env: readonly (readonly [key: string, value: string])[];
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly PortMapping[];
  readonly network: "pod" | "host";
  readonly privileges: "default" | "all";
  readonly rootfs: "writable" | "read-only";
}

/** A container that was started, and its pod. */
export interface StartedContainer {
  readonly pod: { readonly id: string; readonly metadata: Required<PodSandboxMetadata> };
  readonly container: string;
  readonly logPath: string;
  /** The pod's first address; empty in the host's network. */
  readonly address: string;
}

/** How often a container that has closed its output is asked for its exit code. */
const pollMs = 20;

/** How long an end that the log's end announced may take to be known. */
const maxWaitMs = 30_000;

/** Makes a pod and starts a container in it; where that fails, nothing of either stays. */
export async function runContainer(
  client: Client,
  signal: AbortSignal,
  request: RunRequest,
): Promise<StartedContainer> {
  await ensureImage(client, request.image, signal);
  const metadata = newPodMetadata(request.name);
  await using undo = new AsyncDisposableStack();
  const folder = await logFolder(client, metadata);
  await mkdir(folder, { recursive: true, mode: 0o750 });
  undo.defer(() => rm(folder, { recursive: true, force: true }));

  const config = podConfig(request, metadata, folder);
  const { pod_sandbox_id } = await client.runtime.RunPodSandbox({ config }, { signal });
  const pod = { id: pod_sandbox_id, metadata };
  undo.defer(() => removePod(client, pod));

  const { container_id } = await client.runtime.CreateContainer(
    { pod_sandbox_id, sandbox_config: config, config: containerConfig(request) },
    { signal },
  );
  await client.runtime.StartContainer({ container_id }, { signal });
  const { status } = await client.runtime.PodSandboxStatus({ pod_sandbox_id });
  undo.move();
  return {
    pod,
    container: container_id,
    logPath: `${folder}/${logName(request.name)}`,
    address: status?.network?.ip ?? "",
  };
}

/** The status of a container that is ending; throws `deadline-exceeded` where it goes on. */
export async function waitForExit(client: Client, containerId: string): Promise<ContainerStatus__Output> {
  for (const deadline = Date.now() + maxWaitMs; Date.now() < deadline;) {
    const { status } = await client.runtime.ContainerStatus({ container_id: containerId });
    if (status?.state === "CONTAINER_EXITED") return status;
    await sleep(pollMs);
  }
  throw new RuntimeError("deadline-exceeded", `container ${containerId} has not ended after its output did`);
}

async function ensureImage(client: Client, image: string, signal: AbortSignal): Promise<void> {
  const { image: found } = await client.image.ImageStatus({ image: { image } });
  if (found === null) await client.image.PullImage({ image: { image } }, { deadlineMs: Infinity, signal });
}

function podConfig(
  request: RunRequest,
  metadata: Required<PodSandboxMetadata>,
  folder: string,
): PodSandboxConfig {
  const { name, labels, ports, network, privileges } = request;
  return {
    metadata,
    hostname: network === "host" ? "" : hostname(name),
    log_directory: folder,
    labels,
    port_mappings: [...ports],
    linux: {
      security_context: {
        privileged: privileges === "all",
        namespace_options: namespaces(request),
      },
    },
  };
}

type ContainerConfig = NonNullable<Parameters<Client["runtime"]["CreateContainer"]>[0]["config"]>;

function containerConfig(request: RunRequest): ContainerConfig {
  const { name, image, args, env, labels, privileges, rootfs } = request;
  return {
    metadata: { name, attempt: 0 },
    image: { image, user_specified_image: image },
    args: [...args],
    envs: env.map(([key, value]) => ({ key, value: Buffer.from(value) })),
    labels,
    log_path: logName(name),
    linux: {
      security_context: {
        privileged: privileges === "all",
        readonly_rootfs: rootfs === "read-only",
        namespace_options: namespaces(request),
        ...(privileges === "all" ? {} : { masked_paths: maskedPaths, readonly_paths: readonlyPaths }),
      },
    },
  };
}

/** One PID namespace a container, as in a pod that asks for nothing else. */
function namespaces({ network }: RunRequest): { network: "NODE" | "POD"; pid: "CONTAINER" } {
  return { network: network === "host" ? "NODE" : "POD", pid: "CONTAINER" };
}

function logName(name: string): string {
  return `${name.replaceAll("/", "-")}.log`;
}

/** A name as hostname(7) allows it. */
function hostname(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9.-]/g, "-")
    .slice(0, 63);
}
