import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerConfig } from "../../src/cri/types/runtime/v1/ContainerConfig.ts";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import { benchImage } from "./archive.ts";
import type { Runtime } from "./runtime.ts";

/** A container that runs, and its pod. */
export interface Running {
  readonly podId: string;
  readonly containerId: string;
  readonly pod: PodSandboxConfig;
  readonly logPath: string;
  /** Value of the variable that its processes are known by. */
  readonly marker: string;
}

/** The environment variable that a container's processes are found by in /proc. */
export const markerVariable = "BENCH_CONTAINER";

/** Says that it is ready, then waits until it is told to end. */
export const idleScript = "trap 'exit 0' TERM; echo ready; while :; do sleep 1000000 & wait $!; done";

const readyTimeoutMs = 15_000;

/** What the kubelet sends of these by default. */
const maskedPaths = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
];
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** A pod's configuration, as the kubelet would send it. */
export function podConfig(runtime: Runtime, name: string): PodSandboxConfig {
  return {
    metadata: { name, namespace: "bench", uid: `uid-${name}`, attempt: 0 },
    hostname: name,
    log_directory: join(runtime.world.folder, "logs", name),
    dns_config: { servers: ["10.0.0.10"], searches: ["bench.local"], options: ["ndots:5"] },
    labels: { "io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": "bench" },
    linux: {
      cgroup_parent: `${runtime.world.cgroupParent}/pods/pod-${name}`,
      security_context: {
        namespace_options: { pid: "CONTAINER" },
        seccomp: { profile_type: "RuntimeDefault" },
      },
    },
  };
}

/** A container's configuration that runs a script of the shell. */
export function containerConfig(marker: string, script: string, image = benchImage): ContainerConfig {
  return {
    metadata: { name: "main", attempt: 0 },
    image: { image },
    command: ["/bin/sh", "-c", script],
    envs: [{ key: markerVariable, value: Buffer.from(marker) }],
    log_path: "main/0.log",
    labels: { "io.kubernetes.container.name": "main" },
    linux: {
      resources: {
        cpu_period: 100_000,
        cpu_shares: 102,
        memory_limit_in_bytes: 256 * 1024 * 1024,
        oom_score_adj: 1000,
      },
      security_context: {
        namespace_options: { pid: "CONTAINER" },
        seccomp: { profile_type: "RuntimeDefault" },
        masked_paths: maskedPaths,
        readonly_paths: readonlyPaths,
      },
    },
  };
}

/** Takes the milliseconds that a call needs; a call that fails gives none. */
export async function timed<T>(call: () => Promise<T>): Promise<{ readonly value: T; readonly ms: number }> {
  const started = performance.now();
  const value = await call();
  return { value, ms: performance.now() - started };
}

/** The pod is ready and has an address. */
export async function checkPod({ runtime }: Runtime, podId: string): Promise<void> {
  const { status } = await runtime.PodSandboxStatus({ pod_sandbox_id: podId });
  assert.equal(status?.state, "SANDBOX_READY", `state of pod ${podId}`);
  assert.match(status.network?.ip ?? "", /^10\.88\.\d+\.\d+$/, `address of pod ${podId}`);
}

/** The container is in this state, and its process ended with this code. */
export async function checkContainer(
  { runtime }: Runtime,
  containerId: string,
  expected: { readonly state: "CONTAINER_RUNNING" | "CONTAINER_EXITED"; readonly exitCode: number },
): Promise<void> {
  const { status } = await runtime.ContainerStatus({ container_id: containerId });
  assert.equal(status?.state, expected.state, `state of container ${containerId}`);
  assert.equal(status.exit_code, expected.exitCode, `exit code of container ${containerId}`);
}

/** Runs `true` in a container; milliseconds. */
export async function execTrue({ runtime }: Runtime, containerId: string): Promise<number> {
  const { value, ms } = await timed(() =>
    runtime.ExecSync({ container_id: containerId, cmd: ["/bin/true"], timeout: 10 }),
  );
  assert.equal(value.exit_code, 0, `exit code of true in ${containerId}`);
  return ms;
}

/** Waits until a container has said that it is ready: then it also handles SIGTERM. */
export async function untilReady(logPath: string): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  for (;;) {
    const log = await readFile(logPath, "utf8").catch(() => "");
    if (/^\S+ stdout F ready$/m.test(log)) return;
    if (Date.now() > deadline) throw new Error(`no "ready" in ${logPath} after ${readyTimeoutMs} ms: ${log}`);
    await sleep(2);
  }
}

/** Runs a pod with one container, which runs the script. */
export async function runOne(
  runtime: Runtime,
  name: string,
  script: string,
  image = benchImage,
): Promise<Running> {
  const pod = podConfig(runtime, name);
  const { pod_sandbox_id: podId } = await runtime.runtime.RunPodSandbox({ config: pod });
  const { container_id: containerId } = await runtime.runtime.CreateContainer({
    pod_sandbox_id: podId,
    config: containerConfig(name, script, image),
    sandbox_config: pod,
  });
  await runtime.runtime.StartContainer({ container_id: containerId });
  return { podId, containerId, pod, marker: name, logPath: join(pod.log_directory ?? "", "main/0.log") };
}

/** Removes a pod with what is in it. */
export async function removeOne({ runtime }: Runtime, podId: string): Promise<void> {
  await runtime.StopPodSandbox({ pod_sandbox_id: podId });
  await runtime.RemovePodSandbox({ pod_sandbox_id: podId });
}

/** Nothing is listed that was removed. */
export async function checkEmpty({ runtime }: Runtime): Promise<void> {
  const { items } = await runtime.ListPodSandbox({});
  const { containers } = await runtime.ListContainers({});
  assert.equal(items.length, 0, `${items.length} pods are left`);
  assert.equal(containers.length, 0, `${containers.length} containers are left`);
}
