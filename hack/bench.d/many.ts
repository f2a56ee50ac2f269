import { inTurn, type Samples } from "./samples.ts";
import {
  checkContainer,
  checkEmpty,
  checkPod,
  idleScript,
  removeOne,
  runOne,
  untilReady,
  type Running,
} from "./steps.ts";

/** Pods that a runtime starts before it is another's turn. */
const blockSize = 5;
const blocks = 10;

/** Pods with a container each that stay alive, by runtime. */
export type Alive = ReadonlyMap<Samples, readonly Running[]>;

/** Starts fifty pods one after another, a few at a turn; each block is a sample of wall and CPU time a pod. */
export async function startMany(all: readonly Samples[], signal: AbortSignal): Promise<Alive> {
  const alive = new Map<Samples, Running[]>(all.map((samples) => [samples, []]));
  for (let block = 0; block < blocks; block++) {
    signal.throwIfAborted();
    await inTurn(all, "many", block, signal, async (samples) => {
      const { runtime } = samples;
      const cpuBefore = await runtime.cpu.readMs();
      const started = performance.now();
      const made: Running[] = [];
      for (let index = 0; index < blockSize; index++)
        made.push(await runOne(runtime, `many-${block * blockSize + index}`, idleScript));
      samples.add("many-wall", (performance.now() - started) / blockSize);
      samples.add("many-cpu", ((await runtime.cpu.readMs()) - cpuBefore) / blockSize);
      for (const { podId, containerId, logPath } of made) {
        await checkPod(runtime, podId);
        await checkContainer(runtime, containerId, { state: "CONTAINER_RUNNING", exitCode: 0 });
        await untilReady(logPath);
      }
      alive.get(samples)?.push(...made);
    });
  }
  return alive;
}

/** Every pod is still alive; then they are removed. */
export async function removeMany(alive: Alive, signal: AbortSignal): Promise<void> {
  await inTurn([...alive.keys()], "many", 0, signal, async (samples) => {
    for (const { podId, containerId } of alive.get(samples) ?? []) {
      signal.throwIfAborted();
      await checkContainer(samples.runtime, containerId, { state: "CONTAINER_RUNNING", exitCode: 0 });
      await removeOne(samples.runtime, podId);
    }
    await checkEmpty(samples.runtime);
  });
}
