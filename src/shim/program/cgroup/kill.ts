import { SIG } from "../ffi/constants.ts";
import { type Failure, E } from "../ffi/error.ts";
import { kill } from "../ffi/processes.ts";
import { monotonicMs, sleepMs } from "../ffi/time.ts";
import { failure } from "../failure.ts";
import { pidsBelow, readCounter, readValue, tryWrite } from "./folder.ts";
import { describeProcesses } from "./processes.ts";

/** The one folder of a cgroup through which its processes are found, frozen and killed. */
export interface KillFolder {
  readonly folder: string;
  /** v2 files, files of the v1 freezer, or only a list of processes. */
  readonly means: "v2" | "freezer" | "list";
}

/** Rounds of listing and killing where nothing stops the processes from making more meanwhile. */
const maxKillRounds = 50;

const freezePollMs = 1;

/** How long a kill waits for the v1 freezer to stop everything before it goes on without. */
const killFreezeTimeoutMs = 200;

/**
 * Sends SIGKILL to every process in the cgroup and below: cgroup.kill (Linux 5.14), else all are frozen first, so that
 * none escapes by forking. Returns when the signals are sent, not when the processes are gone.
 */
export function killAll(target: KillFolder): void {
  if (target.means === "v2") {
    const problem = tryWrite(target.folder, "cgroup.kill", "1");
    if (problem === undefined) return;
    if (problem.errno !== E.NOENT) throw problem;
    if (readValue(target.folder, "cgroup.procs") === undefined) return;
  }
  if (target.means === "list") {
    killRounds(target);
    return;
  }
  pcall(freeze, target, killFreezeTimeoutMs);
  killListed(target);
  thaw(target);
  killRounds(target);
}

/** Stops every process; `deadline-exceeded` names those that did not stop, and all go on again. */
export function freeze(target: KillFolder, timeoutMs: number): void {
  const deadline = monotonicMs() + timeoutMs;
  while (true) {
    requestFreeze(target);
    if (isFrozen(target)) return;
    if (monotonicMs() >= deadline) break;
    sleepMs(freezePollMs);
  }
  const stuck = describeProcesses(pidsBelow(target.folder));
  thaw(target);
  throw failure("deadline-exceeded", `freeze ${target.folder}: not frozen in ${timeoutMs} ms: ${stuck}`);
}

/** Lets every process go on. */
export function thaw(target: KillFolder): void {
  if (target.means === "v2") tryWrite(target.folder, "cgroup.freeze", "0");
  if (target.means === "freezer") tryWrite(target.folder, "freezer.state", "THAWED");
}

/** True where the cgroup and those below have no process; also where it does not exist. */
export function isEmpty(target: KillFolder): boolean {
  const populated =
    target.means === "v2" ? readCounter(target.folder, "cgroup.events", "populated") : undefined;
  if (populated !== undefined) return populated === 0;
  return pidsBelow(target.folder).length === 0;
}

function requestFreeze(target: KillFolder): void {
  let problem: Failure | undefined;
  if (target.means === "v2") problem = tryWrite(target.folder, "cgroup.freeze", "1");
  if (target.means === "freezer") problem = tryWrite(target.folder, "freezer.state", "FROZEN");
  if (target.means === "list") problem = failure("failed-precondition", "this host has no cgroup freezer");
  if (problem !== undefined) throw problem;
}

/** True once a freeze has stopped every process. */
export function isFrozen(target: KillFolder): boolean {
  if (target.means === "v2") return readCounter(target.folder, "cgroup.events", "frozen") === 1;
  return readValue(target.folder, "freezer.state") === "FROZEN";
}

function killRounds(target: KillFolder): void {
  for (let round = 0; round < maxKillRounds; round++) {
    if (killListed(target) === 0) return;
  }
}

/** The number of processes that were found alive. */
function killListed(target: KillFolder): number {
  let found = 0;
  for (const pid of pidsBelow(target.folder)) {
    if (kill(pid, SIG.KILL)) found = found + 1;
  }
  return found;
}
