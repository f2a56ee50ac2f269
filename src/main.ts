import "./v8-flags.ts";
import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { helpText, readInvocation } from "./config/index.ts";
import { asRuntimeError } from "./core/errors.ts";
import { startDaemon } from "./daemon.ts";
import type { Logger } from "./core/logger.ts";
import { createLogger } from "./logging.ts";
import { schedSetNice, sdNotify } from "./sys/index.ts";

/** The event loop's, where whoever started the daemon chose none. */
const niceValue = -10;

/** Wrong usage, as opposed to a failure to run. */
const exitUsage = 2;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (thrown) {
  const error = asRuntimeError(thrown);
  process.stderr.write(`berthd: ${error.message}\n`);
  process.exitCode = error.code === "invalid-argument" ? exitUsage : 1;
}

/** Configuration, construction, service, a signal, the end. */
async function main(argv: readonly string[]): Promise<number> {
  const invocation = readInvocation(argv);
  if (invocation.action === "help") return print(helpText());
  if (invocation.action === "version") return print(`berthd ${packageVersion()}\n`);
  const { config, warnings } = invocation;
  if (invocation.action === "check") {
    for (const warning of warnings) process.stderr.write(`berthd: ${warning}\n`);
    return print(`${JSON.stringify(config, null, 2)}\n`);
  }
  // Modes are given where files are made, below folders that are the daemon's alone; whoever started it changes nothing.
  process.umask(0o022);
  const logger = createLogger({ level: config.logLevel, format: config.logFormat });
  for (const warning of warnings) logger.warn(warning);
  goFirst(logger);
  const stop = untilSignal();
  await using _daemon = await startDaemon(config, packageVersion(), logger);
  notify("READY=1");
  logger.info("ending", { signal: await stop });
  notify("STOPPING=1");
  return 0;
}

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, resolve);
  });
}

/** Type=notify of systemd.service(5): nothing happens without NOTIFY_SOCKET. */
function notify(state: string): void {
  const socket = process.env["NOTIFY_SOCKET"];
  if (socket !== undefined && socket !== "") sdNotify(socket, state);
}

function packageVersion(): string {
  const text = readFileSync(join(import.meta.dirname, "../package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** The event loop before the work that it starts, so that a busy node still gets answers. Nothing started inherits this. */
function goFirst(logger: Logger): void {
  if (getPriority() !== 0) return;
  try {
    schedSetNice(niceValue);
  } catch (thrown) {
    logger.warn("the daemon's priority stays as it is", { error: asRuntimeError(thrown).message });
  }
}
