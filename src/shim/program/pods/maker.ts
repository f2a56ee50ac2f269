import type { CreatePodRequest } from "../../protocol/messages.ts";
import { CLONE, O } from "../ffi/constants.ts";
import { E, prefixed, sysError } from "../ffi/error.ts";
import { openat } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { exit, fork, setName, setns, unshare } from "../ffi/processes.ts";
import { setOomScoreAdj } from "../process/oom-score.ts";
import { openProcfs, tryWriteProc } from "../process/procfs.ts";
import { becomeUser } from "../process/user.ts";
import { bringLoopbackUp } from "./loopback.ts";
import { type PodPlan, type SysctlWrite, podNamespaces } from "./plan.ts";
import { reportFailure, reportMade } from "./channel.ts";
import { runReaper } from "./reaper.ts";

/** What the kubelet gives pause containers: the pod's PID 1 is the last to be killed for want of memory. */
const reaperOomScoreAdj = -998;

/**
 * The child that makes a pod's namespaces: it unshares, sets them up from inside, forks the reaper, hands over the
 * descriptors and ends. Its parent stays in the host's namespaces, where the pins are mounted.
 */
export function runMaker(
  request: CreatePodRequest,
  plan: PodPlan,
  user: number | undefined,
  channel: number,
): never {
  const [ok, thrown] = pcall(makeNamespaces, request, plan, user, channel);
  if (!ok) reportFailure(channel, thrown);
  exit(ok ? 0 : 1);
}

function makeNamespaces(
  request: CreatePodRequest,
  plan: PodPlan,
  user: number | undefined,
  channel: number,
): void {
  setName("berth-pod");
  // Opened while this is root of the host; what is below /proc/sys depends on the namespaces of who looks.
  const procfs = openProcfs();
  if (plan.namespaces.includes("pid")) setOomScoreAdj(procfs, "self", reaperOomScoreAdj, () => undefined);
  if (user !== undefined) {
    setns(user, CLONE.NEWUSER, "user namespace");
    // Its root owns what is made from here on, such as the root of the message queues' file system.
    becomeUser({ uid: 0, gid: 0 });
  }
  let flags = 0;
  for (const kind of plan.namespaces) flags += podNamespaces[kind].flag;
  unshare(flags);
  setUp(request, plan, procfs);
  const reaper = plan.namespaces.includes("pid") ? forkReaper(channel) : undefined;
  const fds = plan.namespaces.map((kind) => openat(procfs, `self/ns/${podNamespaces[kind].file}`, O.RDONLY));
  reportMade(channel, { reaper }, fds);
}

function setUp(request: CreatePodRequest, plan: PodPlan, procfs: number): void {
  const { hostname, pins } = request;
  if (pins.uts !== undefined && C.sethostname(hostname, hostname.length) < 0) {
    throw sysError("sethostname", hostname);
  }
  if (pins.network !== undefined) bringLoopbackUp();
  for (const sysctl of plan.sysctls) setSysctl(procfs, sysctl);
}

/** A name or a value that the kernel does not take is the request's fault. */
function setSysctl(procfs: number, { name, path, value }: SysctlWrite): void {
  const number = tryWriteProc(procfs, `sys/${path}`, value);
  if (number === 0) return;
  const problem = prefixed(`linux.sysctls["${name}"]`, sysError("write", `/proc/sys/${path}`, number));
  throw number === E.NOENT || number === E.INVAL ? { ...problem, code: "invalid-argument" } : problem;
}

function forkReaper(channel: number): number {
  const pid = fork();
  return pid === 0 ? runReaper(channel) : pid;
}
