import { strict as assert } from "node:assert";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { ListSamples, SamplerRequest } from "./list-sampler.ts";
import type { Runtime } from "./runtime.ts";
import { inTurn, type Samples } from "./samples.ts";
import { checkEmpty, idleScript, removeOne, runOne } from "./steps.ts";

/** Pods with one container each that are listed. */
const entries = 500;
/** Pods that are started or removed at a time while there is nothing to measure. */
const atOnce = 4;
const aloneMs = 10_000;
const busyMs = 20_000;
/** Pods a second that come and go in the meantime. */
const churnPerSecond = 10;

/** Lists of five hundred, alone and while pods come and go. Of Berth alone: peers would take minutes to get there. */
export async function measureLists(all: readonly Samples[], signal: AbortSignal): Promise<void> {
  await inTurn(all.slice(0, 1), "lists", 0, signal, async (samples) => {
    const { runtime } = samples;
    const names = Array.from({ length: entries }, (_, index) => `listed-${index}`);
    const podIds: string[] = [];
    await someAtOnce(names, signal, async (name) => {
      podIds.push((await runOne(runtime, name, idleScript)).podId);
    });
    await checkCount(runtime);
    await sample(samples, "", aloneMs);
    const churn = comeAndGo(runtime, performance.now() + busyMs, signal);
    await Promise.all([churn, sample(samples, "-busy", busyMs)]);
    samples.add("list-churn", await churn);
    await checkCount(runtime);
    await someAtOnce(podIds, signal, (podId) => removeOne(runtime, podId));
    await checkEmpty(runtime);
  });
}

/** Asks in a thread of its own, as a kubelet's process is one: what goes on here delays no answer. */
async function sample(samples: Samples, suffix: string, durationMs: number): Promise<void> {
  const { socket } = samples.runtime;
  const thread = new Worker(join(import.meta.dirname, "list-sampler.ts"), {
    workerData: { socket, durationMs } satisfies SamplerRequest,
    // Answers that came are freed soon, a few at a time: else collecting them would be measured.
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  });
  const [taken] = (await once(thread, "message")) as [ListSamples];
  for (const ms of taken.ListContainers) samples.add(`list-500${suffix}`, ms);
  for (const ms of taken.ListPodSandbox) samples.add(`pods-500${suffix}`, ms);
}

/** Begins a pod as often as it should, each with a container, and removes it again; how many a second. */
async function comeAndGo(runtime: Runtime, until: number, signal: AbortSignal): Promise<number> {
  const begun: Promise<void>[] = [];
  const started = performance.now();
  const life = async (name: string): Promise<void> => {
    await removeOne(runtime, (await runOne(runtime, name, idleScript)).podId);
  };
  while (performance.now() < until) {
    signal.throwIfAborted();
    begun.push(life(`churn-${begun.length}`));
    await sleep(started + (begun.length * 1000) / churnPerSecond - performance.now());
  }
  await Promise.all(begun);
  return (begun.length * 1000) / (performance.now() - started);
}

/** All that should be listed is, and what came and went has gone again. */
async function checkCount({ runtime }: Runtime): Promise<void> {
  assert.equal((await runtime.ListContainers({})).containers.length, entries, "listed containers");
  assert.equal((await runtime.ListPodSandbox({})).items.length, entries, "listed pods");
}

async function someAtOnce<T>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      signal.throwIfAborted();
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
