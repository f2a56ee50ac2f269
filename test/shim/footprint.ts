/**
 * What shims cost: `node test/shim/footprint.ts`. Proportional memory (Pss) of 50 idle shims, of one after 100 and
 * 2,000 added processes and after 1 GB of log, and the time of a container from create to the exit of /bin/true.
 */
import "./isolated.ts";
import { readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { TestHost, type TestContainer, wait } from "./host.ts";

const idleShims = 50;
const timedRuns = 200;
/** Lines of 100 bytes get 40 more in the log: 1 GB there. */
const outputBytes = 714_285_700;
const logBytes = (outputBytes / 100) * 140;
/** The log's writer and the buffers of a burst are let go after 10 to 20 s of quiet. */
const quietMs = 21_000;

interface Memory {
  readonly pss: number;
  readonly own: number;
}

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return { pss: field("Pss"), own: field("Private_Dirty") + field("Private_Clean") };
}

function show(what: string, containers: readonly TestContainer[]): void {
  const all = containers.map((container) => memoryOf(container.created.shimPid));
  const mean = (pick: (memory: Memory) => number): string =>
    (all.reduce((sum, memory) => sum + pick(memory), 0) / all.length).toFixed(0);
  console.log(`${what}: Pss ${mean((memory) => memory.pss)} kB, own ${mean((memory) => memory.own)} kB`);
}

/** Shim and log writer together. */
function showWithWriter(what: string, container: TestContainer): void {
  const pid = container.created.shimPid;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  const writer = children.find((child) => readFileSync(`/proc/${child}/comm`, "utf8").trim() === "berth-log");
  const both = [pid, ...(writer === undefined ? [] : [writer])].map(memoryOf);
  console.log(`${what}: Pss ${both.map((memory) => `${memory.pss} kB`).join(" and ")}`);
}

async function idle(host: TestHost): Promise<TestContainer> {
  const script = `while read line; do [ $line = log ] && yes ${"x".repeat(99)} | head -c ${outputBytes}; echo; done`;
  const container = await host.create(["sh", "-c", script], { request: { stdin: "open" } });
  await container.shim.start(wait);
  return container;
}

async function timed(host: TestHost): Promise<number> {
  const before = performance.now();
  const container = await host.create(["true"]);
  await container.shim.start(wait);
  await container.exit;
  const took = performance.now() - before;
  await container.shim.closed;
  return took;
}

await using host = await TestHost.start();
const times: number[] = [];
for (let run = 0; run < timedRuns; run++) times.push(await timed(host));
times.sort((a, b) => a - b);
const at = (share: number): string => (times[Math.floor(share * (times.length - 1))] ?? 0).toFixed(2);
console.log(
  `create, start, exit of true, ${timedRuns} times: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms`,
);

const containers: TestContainer[] = [];
for (let index = 0; index < idleShims; index++) containers.push(await idle(host));
await sleep(1000);
show(`${idleShims} idle shims`, containers);
const [first] = containers;
if (first === undefined) throw new Error("no container");
show("one of them", [first]);
for (const [more, total] of [
  [100, "100"],
  [1_900, "2,000"],
] as const) {
  for (let run = 0; run < more; run++) await host.exec(first, "echo hello");
  await sleep(500);
  show(`it after ${total} added processes`, [first]);
}
const session = await first.shim.attach({ stdin: true, stdout: false, stderr: false }, {}, wait);
await session.writeStdin(Buffer.from("echo\n"));
await sleep(500);
showWithWriter("it and its log's writer, after one line", first);
const before = performance.now();
await session.writeStdin(Buffer.from("log\n"));
while (statSync(first.logPath).size < logBytes) await sleep(20);
console.log(`1 GB of log, ${((performance.now() - before) / 1000).toFixed(1)} s`);
showWithWriter("it and its log's writer, right after", first);
await sleep(quietMs);
show("it after 21 s of quiet", [first]);
show(`${idleShims} shims at the end`, containers);
