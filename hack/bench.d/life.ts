import { join } from "node:path";
import type { Options } from "./options.ts";
import { inTurn, type Samples } from "./samples.ts";
import {
  checkContainer,
  checkEmpty,
  checkPod,
  containerConfig,
  execTrue,
  idleScript,
  podConfig,
  timed,
  untilReady,
} from "./steps.ts";

/** Rounds that no sample is taken of. */
const warmUpRounds = 3;
/** Commands in each container, each a sample. */
const execsPerRound = 5;
const stopTimeoutSeconds = 10;

/** The life of a pod with one container, step by step, round by round, the runtimes taking turns. */
export async function measureLife(
  all: readonly Samples[],
  { rounds, roundsBudgetMs }: Pick<Options, "rounds" | "roundsBudgetMs">,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + roundsBudgetMs;
  for (let round = -warmUpRounds; round < rounds && (round <= 0 || Date.now() < deadline); round++) {
    signal.throwIfAborted();
    const keep = round >= 0;
    await inTurn(all, "life", round + warmUpRounds, signal, async (samples) => {
      const values = await liveOnce(samples, `life-${round + warmUpRounds}`);
      if (keep) for (const [row, value] of values) samples.add(row, value);
    });
  }
  await inTurn(all, "life", 0, signal, ({ runtime }) => checkEmpty(runtime));
}

async function liveOnce({ runtime }: Samples, name: string): Promise<[string, number][]> {
  const { runtime: cri } = runtime;
  const config = podConfig(runtime, name);

  const runPod = await timed(() => cri.RunPodSandbox({ config }));
  const { pod_sandbox_id } = runPod.value;
  await checkPod(runtime, pod_sandbox_id);

  const create = await timed(() =>
    cri.CreateContainer({
      pod_sandbox_id,
      config: containerConfig(name, idleScript),
      sandbox_config: config,
    }),
  );
  const { container_id } = create.value;
  const start = await timed(() => cri.StartContainer({ container_id }));
  await checkContainer(runtime, container_id, { state: "CONTAINER_RUNNING", exitCode: 0 });
  await untilReady(join(config.log_directory ?? "", "main/0.log"));

  const execs: number[] = [];
  for (let count = 0; count < execsPerRound; count++) execs.push(await execTrue(runtime, container_id));

  const stop = await timed(() => cri.StopContainer({ container_id, timeout: stopTimeoutSeconds }));
  await checkContainer(runtime, container_id, { state: "CONTAINER_EXITED", exitCode: 0 });
  const remove = await timed(() => cri.RemoveContainer({ container_id }));
  const stopPod = await timed(() => cri.StopPodSandbox({ pod_sandbox_id }));
  const removePod = await timed(() => cri.RemovePodSandbox({ pod_sandbox_id }));
  return [
    ["run-pod", runPod.ms],
    ["create", create.ms],
    ["start", start.ms],
    ["create-start", create.ms + start.ms],
    ...execs.map((ms): [string, number] => ["exec", ms]),
    ["stop", stop.ms],
    ["remove", remove.ms],
    ["stop-pod", stopPod.ms],
    ["remove-pod", removePod.ms],
  ];
}
