import type { ExecRequest } from "../../protocol/messages.ts";
import { closeEntry } from "../cgroup/index.ts";
import { O, SOCK } from "../ffi/constants.ts";
import { openOnes } from "../ffi/descriptors.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure } from "../ffi/error.ts";
import { close, open, pipe, readAllFd } from "../ffi/files.ts";
import { clone, setns } from "../ffi/processes.ts";
import { receiveWithFds, socketPair } from "../ffi/sockets.ts";
import { decode } from "../json.ts";
import { checkSecurityModules, openProcfs, readSeccompFilter, setOomScoreAdj } from "../process/index.ts";
import { ownHabits } from "../init/init.ts";
import { checkProcess } from "../spec/read-spec.ts";
import { processShape } from "../spec/spec-shape.ts";
import type { JoinPlan } from "./join.ts";
import { namespacesBefore, runJoin } from "./join.ts";
import type { ExecTarget } from "./target.ts";

const maxStatusBytes = 16 * 1024;
const maxScoreBytes = 32;

/** A process that was added and has become its command; the ends of its stdio are the supervisor's. */
export interface AddedProcess {
  readonly pid: number;
  /** A terminal's master, in place of the three. */
  readonly master?: number;
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
}

/** What is to be added, and how: its ends of its stdio are open, but where it has a terminal. */
export interface AddedOrder extends Pick<ExecRequest, "process" | "seccompFilter"> {
  readonly ends: Pick<JoinPlan, "stdin" | "stdout" | "stderr">;
  readonly habits: JoinPlan["habits"];
}

/** Adds a process to the container with pipes of its own for its stdio. */
export function addProcess(request: ExecRequest, target: ExecTarget): AddedProcess {
  const { inside, outside } = makeEnds(request);
  const { pid, master } = addOrdered({ ...request, ends: inside, habits: ownHabits }, target);
  for (const fd of openOnes(inside.stdin, inside.stdout, inside.stderr)) close(fd);
  return { pid, master, ...outside };
}

/** Adds a process to the container: returns when execve has succeeded, throws what kept it from that. */
export function addOrdered(request: AddedOrder, target: ExecTarget): Pick<AddedProcess, "pid" | "master"> {
  const { process } = request;
  processShape(process, "process");
  checkProcess(process);
  checkSecurityModules(process);
  const filter = request.seccompFilter === undefined ? undefined : readSeccompFilter(request.seccompFilter);
  const [ours, status] = socketPair(SOCK.SEQPACKET);
  const plan = {
    process,
    filter,
    target,
    entry: target.cgroup.openEntry(target.slot),
    enterV2Late: false,
    status,
    habits: request.habits,
    ...request.ends,
  };
  takeOomScore(request, target);
  const before = target.init.namespaces & namespacesBefore;
  if (before !== 0) setns(target.pidfd, before, "the container's namespaces");
  const pid = cloneJoin(plan);
  close(status);
  closeEntry(plan.entry);
  const master = awaitExec(ours);
  return { pid, master };
}

interface Ends {
  readonly inside: Pick<JoinPlan, "stdin" | "stdout" | "stderr">;
  readonly outside: Pick<AddedProcess, "stdin" | "stdout" | "stderr">;
}

function makeEnds(request: ExecRequest): Ends {
  if (request.process.terminal === true) return { inside: {}, outside: {} };
  const [stdoutReader, stdout] = pipe();
  const [stderrReader, stderr] = pipe();
  if (request.stdin === "closed") {
    return { inside: { stdout, stderr }, outside: { stdout: stdoutReader, stderr: stderrReader } };
  }
  const [stdin, stdinWriter] = pipe();
  return {
    inside: { stdin, stdout, stderr },
    outside: { stdin: stdinWriter, stdout: stdoutReader, stderr: stderrReader },
  };
}

/** Set on the supervisor, which the process inherits it from; the container's own where the request says nothing. */
function takeOomScore(request: AddedOrder, target: ExecTarget): void {
  const asked = request.process.oomScoreAdj ?? scoreOf(target.init.pid);
  if (asked === undefined) return;
  const procfs = openProcfs();
  setOomScoreAdj(procfs, "self", asked, () => undefined);
  close(procfs);
}

function scoreOf(pid: number): number | undefined {
  const fd = open(`/proc/${pid}/oom_score_adj`, O.RDONLY);
  const [ok, text] = pcall(readAllFd, fd, maxScoreBytes, "oom_score_adj");
  close(fd);
  return ok ? tonumber(text) : undefined;
}

function cloneJoin(plan: JoinPlan): number {
  const [ok, result] = pcall(() => clone(0, plan.entry.into));
  if (!ok && plan.entry.into === undefined) throw result;
  const pid = ok ? result : clone(0);
  if (pid === 0) runJoin({ ...plan, enterV2Late: !ok });
  return pid;
}

/** Waits for the end of the status socket, which execve closes; returns a terminal's master if one came. */
function awaitExec(status: number): number | undefined {
  let master: number | undefined;
  for (;;) {
    const got = receiveWithFds(status, maxStatusBytes);
    if (got === undefined || got.text === "") break;
    const message = decode(got.text, maxStatusBytes) as { readonly error?: Failure };
    if (message.error !== undefined) throw asFailure(message.error);
    master = got.fds[0];
  }
  close(status);
  return master;
}
