/**
 * Prints the memory of idle shims: `node test/shim/memory.ts [count]`, as root. Proportional set size of each, averaged
 * over as many as are alive at once (50 by default), then of one of them after 100 execs.
 */
import "./isolated.ts";
import { readFileSync } from "node:fs";
import { TestHost, type TestContainer, wait } from "./host.ts";

const count = Number(process.argv[2] ?? 50);

function kilobytes(container: TestContainer, field: string): number {
  const rollup = readFileSync(`/proc/${container.created.shimPid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(rollup)?.[1]);
}

await using host = await TestHost.start();
const containers: TestContainer[] = [];
for (let index = 0; index < count; index++) {
  const container = await host.create(["sleep", "1000"]);
  await container.shim.start(wait);
  containers.push(container);
}
const mean = (field: string): string =>
  (containers.reduce((sum, container) => sum + kilobytes(container, field), 0) / count).toFixed(0);
console.log(
  `${count} alive, each: Pss ${mean("Pss")} kB, of it private and dirty ${mean("Private_Dirty")} kB`,
);
const [first] = containers;
if (first !== undefined) {
  for (let index = 0; index < 100; index++) await host.exec(first, "true");
  console.log(`one after 100 execs: Pss ${kilobytes(first, "Pss")} kB`);
}
