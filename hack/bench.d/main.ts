import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeArchive } from "./archive.ts";
import { startBerth } from "./berth.ts";
import { fetchPeers, startContainerd } from "./containerd.ts";
import { measureLife } from "./life.ts";
import { measureLists } from "./lists.ts";
import { removeMany, startMany } from "./many.ts";
import { measureMemory } from "./memory.ts";
import { makePullImages } from "./pull-images.ts";
import { measurePulls } from "./pulls.ts";
import { helpText, readOptions, UsageError, type Options } from "./options.ts";
import { measurePorts } from "./ports.ts";
import { asJson, failuresText, headText, tableText } from "./report.ts";
import type { Runtime, Scope } from "./runtime.ts";
import { Samples } from "./samples.ts";

const exitUsage = 2;
/** How long a step may take after Ctrl-C. */
const graceMs = 5_000;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof UsageError;
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = usage ? exitUsage : 1;
}

async function main(argv: readonly string[]): Promise<number> {
  const options = readOptions(argv);
  if (options === "help") {
    process.stdout.write(helpText());
    return 0;
  }
  const stop = new AbortController();
  const timer = setTimeout(() => {
    stop.abort(new Error(`not done after ${options.timeoutMs / 60_000} minutes`));
  }, options.timeoutMs);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(name, () => {
      stop.abort(new Error(`ended by ${name}`));
    });
  await using undo = new AsyncDisposableStack();
  undo.defer(() => {
    clearTimeout(timer);
  });
  // Cut off, the run comes to its end at its next step, so that nothing is begun that would not be undone. A step that
  // hangs fails as its daemon goes.
  const work = bench(options, { undo, signal: stop.signal });
  work.catch(() => undefined);
  return await Promise.race([work, graceEnds(stop.signal)]);
}

function graceEnds(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => {
      setTimeout(() => {
        reject(signal.reason as Error);
      }, graceMs).unref();
    });
  });
}

async function bench(options: Options, scope: Scope): Promise<number> {
  const { undo, signal } = scope;
  const folder = await mkdtemp(join(tmpdir(), "berth-bench-"));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const archive = await writeArchive(folder);
  const programs = options.peers.length === 0 ? "" : await fetchPeers();
  signal.throwIfAborted();

  const runtimes: Runtime[] = [await startBerth(archive, scope)];
  for (const peer of options.peers) {
    signal.throwIfAborted();
    runtimes.push(await startContainerd(peer, programs, archive, scope));
  }
  const all = runtimes.map((runtime) => new Samples(runtime));
  process.stdout.write(`${headText(options, all)}\n`);

  if (options.phases.has("life")) {
    say("the life of a pod and its container");
    await measureLife(all, options, signal);
  }
  if (options.phases.has("ports")) {
    say("pods with a port of the host");
    await measurePorts(all, options, signal);
  }
  if (options.phases.has("many") || options.phases.has("memory")) {
    say("fifty pods in a row");
    const alive = await startMany(all, signal);
    if (options.phases.has("memory")) {
      say("memory of shims");
      await measureMemory(alive, options.logBytes, signal);
    }
    await removeMany(alive, signal);
  }

  if (options.phases.has("pulls")) {
    say("pulls of images");
    await measurePulls(all, { ...(await makePullImages()), rounds: options.pullRounds }, scope);
  }

  if (options.phases.has("lists")) {
    say("lists of five hundred");
    await measureLists(all, signal);
  }

  process.stdout.write(tableText(options, all));
  if (options.json !== undefined) await writeFile(options.json, asJson(options, all));
  const failures = failuresText(all);
  process.stderr.write(failures);
  await keepLogs(all);
  return failures === "" ? 0 : 1;
}

/** The folders of the worlds go; the log of a daemon whose step failed is what one wants to see. */
async function keepLogs(all: readonly Samples[]): Promise<void> {
  for (const { runtime, failure } of all) {
    if (failure === undefined) continue;
    const kept = join(tmpdir(), `berth-bench-${runtime.name}.log`);
    await copyFile(runtime.logFile, kept);
    process.stderr.write(`its daemon's log: ${kept}\n`);
  }
}

function say(what: string): void {
  process.stderr.write(`  ${what}\n`);
}
