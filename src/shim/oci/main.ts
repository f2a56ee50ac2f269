import type { Failure } from "../program/ffi/error.ts";
import { asFailure, failure } from "../program/ffi/error.ts";
import { tryReadFile } from "../program/ffi/files.ts";
import { C } from "../program/ffi/libc.ts";
import { blockSignals } from "../program/ffi/signals.ts";
import { PR, SIG } from "../program/ffi/constants.ts";
import { prctl } from "../program/ffi/processes.ts";
import { becomeSealed, isSealed } from "../program/launcher/seal.ts";
import { create } from "./commands/create.ts";
import { remove } from "./commands/delete.ts";
import { events } from "./commands/events.ts";
import { exec } from "./commands/exec.ts";
import { features } from "./commands/features.ts";
import { kill } from "./commands/kill.ts";
import { list } from "./commands/list.ts";
import { pause, resume } from "./commands/pause.ts";
import { ps } from "./commands/ps.ts";
import { run } from "./commands/run.ts";
import { spec } from "./commands/spec.ts";
import { start } from "./commands/start.ts";
import { state } from "./commands/state.ts";
import { update } from "./commands/update.ts";
import { ociVersion } from "./default-spec.ts";
import { helpText } from "./help.ts";
import type { Log } from "./log.ts";
import { openLog } from "./log.ts";
import type { Options } from "./options.ts";
import { parseOptions } from "./options.ts";
import type { Command } from "./settings.ts";

declare const arg: Record<number, string | undefined>;

// Nothing is loaded from a search path: it would begin with the working folder.
const loader = (_G as unknown as Record<string, { path: string; cpath: string }>)["package"];
if (loader !== undefined) {
  loader.path = "";
  loader.cpath = "";
}
jit.off();

const program = "berth-oci";
const failed = 1;
/** An exec that never was is told from one whose command ended with 1. */
const execFailed = 255;
const defaultRoot = "/run/berth-oci";
const maxManifestBytes = 64 * 1024;

const commands: Readonly<Record<string, Command>> = {
  create,
  start,
  state,
  kill,
  delete: remove,
  exec,
  run,
  pause,
  resume,
  update,
  ps,
  events,
  features,
  spec,
  list,
};

/** Those whose process enters a container, or forks one that does: they run from a sealed copy (CVE-2019-5736). */
const entering: Readonly<Record<string, true>> = { create: true, run: true, exec: true };

function main(): number {
  const words = argumentsOf();
  const [parsed, options] = pcall(
    parseOptions,
    words,
    {
      root: { kind: "value" },
      log: { kind: "value" },
      "log-format": { kind: "value" },
      debug: { kind: "flag" },
      "systemd-cgroup": { kind: "flag" },
      rootless: { kind: "value" },
      help: { kind: "flag", short: "h" },
      version: { kind: "flag", short: "v" },
    },
    "another",
  );
  if (!parsed) return report(openLog(undefined, "text", "no-debug"), options);
  const [made, log] = pcall(logOf, options);
  if (!made) return report(openLog(undefined, "text", "no-debug"), log);
  const [ok, result] = pcall(dispatch, options, log, words);
  if (ok) return result;
  report(log, result);
  return options.rest[0] === "exec" ? execFailed : failed;
}

function dispatch(options: Options, log: Log, words: readonly string[]): number {
  if (options.has("version")) {
    print(`${program} version ${version()}\nspec: ${ociVersion}`);
    return 0;
  }
  const [name] = options.rest;
  const [, first] = options.rest;
  if (options.has("help") || name === undefined || name === "help" || first === "--help" || first === "-h") {
    io.write(helpText(program));
    return 0;
  }
  const command = commands[name];
  if (command === undefined) throw unknownCommand(name);
  if (options.has("systemd-cgroup")) {
    throw failure(
      "failed-precondition",
      "--systemd-cgroup: only the cgroupfs driver is supported; set it in the configuration of the caller",
    );
  }
  if (entering[name] === true && !isSealed()) becomeSealed([program, arg[0] ?? "", ...words], environment());
  // Nobody on the way into a container may be looked into from there.
  if (entering[name] === true) prctl(PR.SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
  log.debug(`${program} ${words.join(" ")}`);
  // A caller that stops reading is no reason to end.
  blockSignals([SIG.PIPE]);
  C.umask(0o022);
  const settings = {
    root: options.value("root") ?? defaultRoot,
    rootIsNamed: options.has("root"),
    log,
    program,
    version,
  };
  return command(settings, options.rest.slice(1));
}

/** `luajit PROGRAM words...` */
function argumentsOf(): string[] {
  const words: string[] = [];
  for (let index = 1; ; index++) {
    const word = arg[index];
    if (word === undefined) return words;
    words.push(word);
  }
}

function logOf(options: Options): Log {
  const format = options.value("log-format") ?? "text";
  if (format !== "text" && format !== "json") {
    throw failure("invalid-argument", `unknown log-format "${format}"`);
  }
  return openLog(options.value("log"), format, options.has("debug") ? "all" : "no-debug");
}

function report(log: Log, thrown: unknown): number {
  log.error(asFailure(thrown).message);
  return failed;
}

function unknownCommand(name: string): Failure {
  if (name === "checkpoint" || name === "restore") {
    return failure("failed-precondition", `${name}: checkpoints are not supported`);
  }
  return failure("invalid-argument", `no such command: ${name}`);
}

/** The copy gets no environment, so that LUA_INIT and LD_* mean nothing to it; but for what is meant for the container. */
function environment(): string[] {
  const kept: string[] = [];
  for (const name of ["LISTEN_FDS"]) {
    const value = os.getenv(name);
    if (value !== undefined) kept.push(`${name}=${value}`);
  }
  return kept;
}

/** Of the package that this program lies in. */
function version(): string {
  const [folder] = string.match(arg[0] ?? "", "^(.*)/dist/shim/[^/]+$");
  const text = folder === undefined ? undefined : tryReadFile(`${folder}/package.json`, maxManifestBytes);
  const [found] = string.match(text ?? "", '"version": "([^"]+)"');
  return found ?? "unknown";
}

os.exit(main());
