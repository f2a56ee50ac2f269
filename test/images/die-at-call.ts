/**
 * Loaded with `--import` into a process that brings images in: every call that changes the disk is noted in a file, and
 * before the one with a given number the process kills itself, as `kill -9` would. What runs there knows nothing of it.
 *
 * `BERTH_TEST_CALLS` is the file, `BERTH_TEST_DIE_AT` the number, counted from 1.
 */
import { appendFileSync } from "node:fs";
import promises, { open, type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const calls = process.env["BERTH_TEST_CALLS"] ?? "";
const dieAt = Number(process.env["BERTH_TEST_DIE_AT"] ?? 0);
const state = { count: 0 };

/** Notes a call that is about to be made; `arm` begins the count. */
function pass(call: string): void {
  state.count += 1;
  appendFileSync(calls, `${call}\n`);
  if (state.count === dieAt) process.kill(process.pid, "SIGKILL");
}

type Call = (...args: unknown[]) => unknown;

/** Puts a noting call in the place of one. */
function watch(owner: object, name: string, describe: (args: readonly unknown[]) => string): void {
  const methods = owner as Record<string, Call>;
  const original = methods[name];
  if (original === undefined) throw new Error(`there is no ${name}`);
  methods[name] = function (this: unknown, ...args: unknown[]) {
    pass(describe(args));
    return original.apply(this, args);
  };
}

const short = (path: unknown): string => String(path).replace(/[0-9a-f]{12,}/g, "…");

/** Begins to count: called by the program when it is ready for its work. */
export async function arm(folder: string): Promise<void> {
  for (const name of ["mkdir", "rename", "rm", "unlink"]) {
    watch(promises, name, (args) => `${name} ${args.map(short).slice(0, 2).join(" ")}`);
  }
  const handle = await open(folder, "r");
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  for (const name of ["write", "writev", "writeFile", "sync", "datasync", "truncate"])
    watch(prototype, name, () => name);
  syncBuiltinESMExports();
}

export { pass };
