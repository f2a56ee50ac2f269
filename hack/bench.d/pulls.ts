import { strict as assert } from "node:assert";
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { peakMegabytes, resetPeak } from "./peak.ts";
import type { PullImage } from "./pull-images.ts";
import { startRegistry, type Registry } from "./pull-registry.ts";
import type { Runtime, Scope } from "./runtime.ts";
import { inTurn, type Samples } from "./samples.ts";
import { checkContainer, idleScript, removeOne, runOne, timed, untilReady } from "./steps.ts";

/** Pulls of an image that is there already, in each round. */
const againPerRound = 5;
const pullTimeoutMs = 120_000;
/** How long a runtime may take to give up what a removed image was made of. */
const collectTimeoutMs = 30_000;

/** The images, where their blobs lie, and how often each is pulled. */
export interface PullPlan {
  readonly folder: string;
  readonly images: readonly PullImage[];
  readonly rounds: number;
}

/** Pulls each image into an empty store, round by round, the runtimes taking turns; nothing of it is left in between. */
export async function measurePulls(all: readonly Samples[], plan: PullPlan, scope: Scope): Promise<void> {
  const { signal } = scope;
  const registries = new Map<Samples, Registry>();
  for (const samples of all)
    registries.set(samples, await startRegistry(samples.runtime.world, plan.folder, scope));
  const turn = async (image: PullImage, round: number, keep: "sample" | "warm-up"): Promise<void> => {
    await inTurn(all, "pulls", round, signal, async (samples) => {
      const registry = registries.get(samples);
      if (registry === undefined) return;
      const values = await pullOnce(samples.runtime, registry, image);
      if (round === 0) await checkRuns(samples.runtime, image);
      await removeImage(samples.runtime, image);
      if (keep === "sample") for (const [row, value] of values) samples.add(row, value);
    });
  };
  for (const image of plan.images) await turn(image, 1, "warm-up");
  for (let round = 0; round < plan.rounds; round++) {
    for (const image of plan.images) await turn(image, round, "sample");
  }
}

async function pullOnce(runtime: Runtime, registry: Registry, image: PullImage): Promise<[string, number][]> {
  // What was written before is not this pull's to wait for.
  await promisify(execFile)("sync");
  await registry.count();
  await resetPeak(runtime.pid);
  const cpuBefore = await runtime.cpu.readMs();
  const { ms } = await timed(() => pull(runtime, image));
  const cpuMs = (await runtime.cpu.readMs()) - cpuBefore;
  const megabytes = await peakMegabytes(runtime.pid);
  await checkFetched(registry, image);
  await checkListed(runtime, image);
  const row = `pull-${image.name}`;
  const values: [string, number][] = [
    [row, ms],
    [`${row}-cpu`, cpuMs],
    [`${row}-memory`, megabytes],
  ];
  if (image.name !== "layers") return values;
  for (let count = 0; count < againPerRound; count++) {
    const again = await timed(() => pull(runtime, image));
    values.push(["pull-here", again.ms], ["pull-here-trips", (await registry.count()).requests]);
  }
  return values;
}

async function pull({ images }: Runtime, { reference }: PullImage): Promise<void> {
  const { image_ref } = await images.PullImage({ image: { image: reference } }, { timeoutMs: pullTimeoutMs });
  assert.notEqual(image_ref, "", `image_ref of ${reference}`);
}

/** Every layer came over the network, whole. */
async function checkFetched(registry: Registry, image: PullImage): Promise<void> {
  const { bytes } = await registry.count();
  for (const { digest, size } of image.layers)
    assert.ok((bytes[digest] ?? 0) >= size, `${image.reference}: ${digest} was not fetched`);
}

/** The image is in the list, under its name and id, with a size that its layers explain. */
async function checkListed({ images }: Runtime, image: PullImage): Promise<void> {
  const listed = (await images.ListImages({})).images.find(({ repo_tags }) =>
    repo_tags.includes(image.reference),
  );
  assert.equal(listed?.id, image.config, `id of ${image.reference}`);
  const layers = image.layers.reduce((sum, { size }) => sum + size, 0);
  const documents = Number(listed.size) - layers;
  assert.ok(documents > 0 && documents < 100_000, `size of ${image.reference}: ${listed.size}`);
}

/** A container can be made of it. */
async function checkRuns(runtime: Runtime, image: PullImage): Promise<void> {
  const one = await runOne(
    runtime,
    `pulled-${image.name}`,
    `test -f /etc/bench; ${idleScript}`,
    image.reference,
  );
  await untilReady(one.logPath);
  await checkContainer(runtime, one.containerId, { state: "CONTAINER_RUNNING", exitCode: 0 });
  await removeOne(runtime, one.podId);
}

/** Removes the image and waits until nothing is left that the next pull would not fetch or unpack again. */
async function removeImage(runtime: Runtime, image: PullImage): Promise<void> {
  await runtime.images.RemoveImage({ image: { image: image.reference } });
  const deadline = Date.now() + collectTimeoutMs;
  for (;;) {
    const left = await runtime.leftOf(image);
    if (left.length === 0) return;
    if (Date.now() > deadline)
      throw new Error(`${image.reference} was removed, but ${left[0] ?? ""} is still there`);
    await sleep(100);
  }
}
