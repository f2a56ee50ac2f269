/**
 * Whether a command leaves the machine as it was: `node test/leaks/watch.ts COMMAND [ARGUMENT...]` ends with the
 * command's status, or 1 with a list where something has appeared and stays.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { appeared, readMachine } from "./machine.ts";

/** The kernel takes a moment to let go of what the last process held. */
const patienceMs = 5_000;
const pollMs = 100;

const [command = "", ...args] = process.argv.slice(2);
const before = readMachine();
const child = spawn(command, args, { stdio: "inherit" });
const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
if (signal !== null) process.stderr.write(`${command} was ended by ${signal}\n`);

let left = appeared(before, readMachine());
for (const deadline = Date.now() + patienceMs; left.length > 0 && Date.now() < deadline;) {
  await sleep(pollMs);
  left = appeared(before, readMachine());
}
if (left.length > 0) {
  process.stderr.write(`\nleft behind:\n${left.map((thing) => `  ${thing}\n`).join("")}`);
}
process.exitCode = code === 0 && left.length > 0 ? 1 : (code ?? 1);
