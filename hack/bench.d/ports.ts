import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import type { Options } from "./options.ts";
import type { Runtime } from "./runtime.ts";
import { inTurn, type Samples } from "./samples.ts";
import { checkEmpty, checkPod, podConfig, removeOne, timed } from "./steps.ts";

/** Rounds that no sample is taken of. */
const warmUpRounds = 2;
/** Pods of one crowd, and how many are started at a time. */
const crowdSize = 100;
const atOnce = 10;
const crowds = 3;
const firstPort = 20_000;

/** Pods with a port of the host each, without containers: one at a time, then a hundred, ten at a time. */
export async function measurePorts(
  all: readonly Samples[],
  { rounds, roundsBudgetMs }: Pick<Options, "rounds" | "roundsBudgetMs">,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + roundsBudgetMs;
  for (let round = -warmUpRounds; round < rounds && (round <= 0 || Date.now() < deadline); round++) {
    await inTurn(all, "ports", round + warmUpRounds, signal, async (samples) => {
      const { runtime } = samples;
      const run = await runWithPort(runtime, `port-${round + warmUpRounds}`, firstPort);
      const stop = await timed(() => runtime.runtime.StopPodSandbox({ pod_sandbox_id: run.value }));
      await runtime.runtime.RemovePodSandbox({ pod_sandbox_id: run.value });
      if (round < 0) return;
      samples.add("run-pod-port", run.ms);
      samples.add("stop-pod-port", stop.ms);
    });
  }
  for (let crowd = 0; crowd < crowds; crowd++) {
    await inTurn(all, "ports", crowd, signal, async (samples) => {
      const { value: podIds, ms } = await timed(() => runCrowd(samples.runtime, `crowd-${crowd}`, signal));
      samples.add("crowd-port", ms / crowdSize);
      for (const podId of podIds) {
        signal.throwIfAborted();
        await removeOne(samples.runtime, podId);
      }
    });
  }
  await inTurn(all, "ports", 0, signal, ({ runtime }) => checkEmpty(runtime));
}

async function runCrowd(runtime: Runtime, name: string, signal: AbortSignal): Promise<string[]> {
  const podIds: string[] = [];
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < crowdSize) {
      signal.throwIfAborted();
      const index = begun++;
      podIds.push((await runWithPort(runtime, `${name}-${index}`, firstPort + index)).value);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return podIds;
}

/** Runs a pod with a port of the host; the check that it has an address is not in its time. */
async function runWithPort(
  runtime: Runtime,
  name: string,
  hostPort: number,
): Promise<{ readonly value: string; readonly ms: number }> {
  const config: PodSandboxConfig = {
    ...podConfig(runtime, name),
    port_mappings: [{ protocol: "TCP", container_port: 80, host_port: hostPort }],
  };
  const { value, ms } = await timed(() => runtime.runtime.RunPodSandbox({ config }));
  await checkPod(runtime, value.pod_sandbox_id);
  return { value: value.pod_sandbox_id, ms };
}
