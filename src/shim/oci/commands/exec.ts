import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { addOrdered } from "../../program/exec/added-process.ts";
import { closeAllBut, preservedDescriptors } from "../../program/ffi/descriptors.ts";
import { failure } from "../../program/ffi/error.ts";
import { close, duplicate, readFile } from "../../program/ffi/files.ts";
import { pidfdOpen } from "../../program/ffi/processes.ts";
import { decode } from "../../program/json.ts";
import { folderOfContainer } from "../container/record.ts";
import { writePidFile } from "../container/create.ts";
import type { FoundContainer } from "../container/status.ts";
import { findContainer, initLives } from "../container/status.ts";
import { processOf } from "../container/process.ts";
import { completeProcess } from "../container/spec.ts";
import { resetAffinity } from "../ffi/os.ts";
import type { Options } from "../options.ts";
import { parseOptions } from "../options.ts";
import type { Command, Settings } from "../settings.ts";
import { attendProcess } from "../terminal/attend.ts";
import { checkTerminal, handOver } from "../terminal/request.ts";

const maxProcessBytes = 1024 * 1024;

/** `exec [options] ID COMMAND [ARGS]`, or `exec --process FILE ID`: adds a process to a container that runs. */
export const exec: Command = (settings, words) => {
  const options = parseOptions(
    words,
    {
      process: { kind: "value", short: "p" },
      detach: { kind: "flag", short: "d" },
      "pid-file": { kind: "value" },
      "console-socket": { kind: "value" },
      tty: { kind: "flag", short: "t" },
      cwd: { kind: "value" },
      env: { kind: "list", short: "e" },
      user: { kind: "value", short: "u" },
      "additional-gids": { kind: "list", short: "g" },
      cap: { kind: "list", short: "c" },
      apparmor: { kind: "value" },
      "process-label": { kind: "value" },
      "no-new-privs": { kind: "flag" },
      "preserve-fds": { kind: "value" },
      "ignore-paused": { kind: "flag" },
      "no-subreaper": { kind: "flag" },
    },
    "another",
  );
  const preservedFds = options.number("preserve-fds") ?? 0;
  const container = findContainer(settings, options.rest[0]);
  requireRunning(container, options);
  // Its file may be one of the descriptors that are closed then.
  const process = processFrom(options, container, settings);
  closeAllBut(preservedDescriptors(preservedFds));
  resetAffinity();
  const detached = options.has("detach");
  const terminal = { socket: options.value("console-socket"), stays: detached ? "no" : "yes" } as const;
  checkTerminal(terminal, process.terminal === true);
  const added = add(settings, container, process, preservedFds);
  const master = added.master === undefined ? undefined : handOver(terminal, added.master);
  const pidFile = options.value("pid-file");
  if (pidFile !== undefined) writePidFile(pidFile, added.pid);
  if (!detached) return attendProcess(added.pid, master, () => undefined);
  if (master !== undefined) close(master);
  return 0;
};

function requireRunning({ record, status }: FoundContainer, options: Options): void {
  if (status === "stopped") {
    throw failure("failed-precondition", `cannot exec in a stopped container: ${record.id}`);
  }
  if (status === "paused" && !options.has("ignore-paused")) {
    throw failure(
      "failed-precondition",
      `cannot exec in a paused container (use --ignore-paused to override): ${record.id}`,
    );
  }
}

function processFrom(options: Options, { record }: FoundContainer, settings: Settings): SpecProcess {
  const file = options.value("process");
  if (file !== undefined) {
    const process = decode(readFile(file, maxProcessBytes), maxProcessBytes);
    completeProcess(process, settings.log);
    return process as SpecProcess;
  }
  return processOf(record, options, settings);
}

function add(
  settings: Settings,
  { record, cgroup }: FoundContainer,
  process: SpecProcess,
  preservedFds: number,
): ReturnType<typeof addOrdered> {
  const pidfd = pidfdOpen(record.init.pid);
  if (pidfd === undefined || !initLives(record)) {
    throw failure("failed-precondition", `cannot exec in a stopped container: ${record.id}`);
  }
  const { seccompFlags } = record;
  const { filter } = folderOfContainer(settings.root, record.id);
  const ends =
    process.terminal === true ? {} : { stdin: duplicate(0), stdout: duplicate(1), stderr: duplicate(2) };
  return addOrdered(
    {
      process,
      seccompFilter: seccompFlags === undefined ? undefined : { path: filter, flags: seccompFlags },
      ends,
      habits: { preservedFds, keyring: record.keyring, home: "passwd" },
    },
    { init: record.init, pidfd, cgroup, slot: undefined },
  );
}
