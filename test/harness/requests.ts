import { setTimeout as sleep } from "node:timers/promises";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerConfig } from "../../src/cri/types/runtime/v1/ContainerConfig.ts";
import type { ContainerStatus__Output } from "../../src/cri/types/runtime/v1/ContainerStatus.ts";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import type { TestDaemon } from "./daemon.ts";

/** The image that tests run, made from the machine's static busybox. */
export const testImage = "berth.test/busybox:latest";

/** How long a test waits for something that should happen at once. */
const patienceMs = 15_000;

let podNumber = 0;

/** A pod's configuration: its own name, logs in the world's folder, and the changes that a test wants. */
export function podConfig(daemon: TestDaemon, change: PodSandboxConfig = {}): PodSandboxConfig {
  podNumber += 1;
  return {
    metadata: { name: `pod-${podNumber}`, namespace: "test", uid: `uid-${podNumber}`, attempt: 0 },
    hostname: `pod-${podNumber}`,
    log_directory: join(daemon.world.folder, "logs", String(podNumber)),
    dns_config: { servers: ["10.0.0.10"], searches: ["test.local"], options: ["ndots:5"] },
    linux: { security_context: { namespace_options: { pid: "CONTAINER" } } },
    ...change,
  };
}

/** Puts the test image into the store. */
export async function makeTestImage(daemon: TestDaemon): Promise<void> {
  await daemon.admin.ImageFromHost({ reference: testImage, binaries: ["/bin/busybox"] });
}

/** Runs a pod; its id. */
export async function runPod(daemon: TestDaemon, config: PodSandboxConfig): Promise<string> {
  const { pod_sandbox_id } = await daemon.runtime.RunPodSandbox({ config });
  return pod_sandbox_id;
}

/** A container's configuration that runs a shell script. */
export function scriptConfig(script: string, change: ContainerConfig = {}): ContainerConfig {
  return {
    metadata: { name: "main", attempt: 0 },
    image: { image: testImage },
    command: ["/bin/sh", "-c", script],
    log_path: "main.log",
    linux: { security_context: { namespace_options: { pid: "CONTAINER" } } },
    ...change,
  };
}

/** Creates and starts a container; its id. */
export async function startContainer(
  daemon: TestDaemon,
  podId: string,
  pod: PodSandboxConfig,
  config: ContainerConfig,
): Promise<string> {
  const { container_id } = await daemon.runtime.CreateContainer({
    pod_sandbox_id: podId,
    config,
    sandbox_config: pod,
  });
  await daemon.runtime.StartContainer({ container_id });
  return container_id;
}

/** The status of a container. */
export async function statusOf(daemon: TestDaemon, containerId: string): Promise<ContainerStatus__Output> {
  const { status } = await daemon.runtime.ContainerStatus({ container_id: containerId });
  if (status === null) throw new Error(`no status of ${containerId}`);
  return status;
}

/** Waits until a container has ended. */
export async function untilExited(daemon: TestDaemon, containerId: string): Promise<ContainerStatus__Output> {
  return eventually(async () => {
    const status = await statusOf(daemon, containerId);
    return status.state === "CONTAINER_EXITED" ? status : undefined;
  }, `container ${containerId} to exit`);
}

/** The lines of a container's log: what is after the timestamp. */
export async function logOf(daemon: TestDaemon, containerId: string): Promise<string[]> {
  const { log_path } = await statusOf(daemon, containerId);
  const text = await readFile(log_path, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/^\S+ /, ""));
}

/** Waits until `probe` gives something. */
export async function eventually<T>(probe: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${patienceMs} ms for ${what}`);
    await sleep(20);
  }
}

/** Runs a command in a container; its output as text. */
export async function execSync(
  daemon: TestDaemon,
  containerId: string,
  ...cmd: readonly string[]
): Promise<{ readonly stdout: string; readonly stderr: string; readonly code: number }> {
  const { stdout, stderr, exit_code } = await daemon.runtime.ExecSync({
    container_id: containerId,
    cmd: [...cmd],
    timeout: 10,
  });
  return { stdout: stdout.toString("utf8"), stderr: stderr.toString("utf8"), code: exit_code };
}
