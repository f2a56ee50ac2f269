import { strict as assert } from "node:assert";
import { createReadStream } from "node:fs";
import { open, truncate } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Alive } from "./many.ts";
import type { Runtime } from "./runtime.ts";
import { inTurn, type Samples } from "./samples.ts";
import { shimMegabytes } from "./shims.ts";
import { checkContainer, execTrue, idleScript, removeOne, runOne, type Running } from "./steps.ts";

/** Let garbage collectors and page accounting come to rest first. */
const restMs = 2_000;
/** A runtime may hold what it writes a log with for a while after the last line. */
const logRestMs = 15_000;
const execsEach = 100;
const execContainers = 3;
const lineBytes = 100;
const pollMs = 50;
const logTimeoutMs = 180_000;

/** Pss of shims at rest, after commands run in a few of their containers, and after one has written much log. */
export async function measureMemory(alive: Alive, logBytes: number, signal: AbortSignal): Promise<void> {
  const all = [...alive.keys()];
  await sleep(restMs);
  await inTurn(all, "memory", 0, signal, async (samples) => {
    const pods = alive.get(samples) ?? [];
    for (const value of await ofEach(samples.runtime, pods)) samples.add("shim-rest", value);
  });
  await inTurn(all, "memory", 1, signal, async (samples) => {
    const pods = (alive.get(samples) ?? []).slice(0, execContainers);
    for (let count = 0; count < execsEach; count++) {
      signal.throwIfAborted();
      for (const { containerId } of pods) await execTrue(samples.runtime, containerId);
    }
    await sleep(restMs);
    for (const value of await ofEach(samples.runtime, pods)) samples.add("shim-execs", value);
  });
  await inTurn(all, "memory", 2, signal, (samples) => measureLog(samples, logBytes, signal));
}

async function ofEach(runtime: Runtime, pods: readonly Running[]): Promise<number[]> {
  const found = await shimMegabytes(runtime.world);
  return pods.map(({ marker }) => {
    const megabytes = found.get(marker);
    if (megabytes === undefined) throw new Error(`no shim found of ${marker}`);
    return megabytes;
  });
}

async function measureLog(samples: Samples, logBytes: number, signal: AbortSignal): Promise<void> {
  const { runtime } = samples;
  const script = `yes ${"x".repeat(lineBytes - 1)} | head -c ${logBytes}; ${idleScript}`;
  const cpuBefore = await runtime.cpu.readMs();
  const started = performance.now();
  const one = await runOne(runtime, "log", script);
  await untilWritten(one.logPath, signal);
  samples.add("log-wall", (performance.now() - started) / 1e3);
  samples.add("log-cpu", ((await runtime.cpu.readMs()) - cpuBefore) / 1e3);
  for (const value of await ofEach(runtime, [one])) samples.add("shim-logging", value);
  // The last line is "ready". Read when all is done, as reading takes CPU time too.
  assert.equal(await countLines(one.logPath), logBytes / lineBytes + 1, "lines in the log");
  await truncate(one.logPath);
  await sleep(logRestMs);
  for (const value of await ofEach(runtime, [one])) samples.add("shim-log", value);
  await checkContainer(runtime, one.containerId, { state: "CONTAINER_RUNNING", exitCode: 0 });
  await removeOne(runtime, one.podId);
}

/** Waits until a growing log ends in the script's last word. */
async function untilWritten(logPath: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + logTimeoutMs;
  const tail = Buffer.alloc(16);
  while (!tail.toString("latin1").endsWith(" F ready\n")) {
    signal.throwIfAborted();
    if (Date.now() > deadline) throw new Error(`${logPath} has not come to its end after ${logTimeoutMs} ms`);
    await sleep(pollMs);
    await using file = await open(logPath, "r");
    const { size } = await file.stat();
    await file.read(tail, 0, tail.length, Math.max(0, size - tail.length));
  }
}

async function countLines(path: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 }) as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1;
  }
  return lines;
}
