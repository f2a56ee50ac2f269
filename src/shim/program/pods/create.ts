import type { CreatePodRequest, PodCreated } from "../../protocol/messages.ts";
import {
  type CgroupEntry,
  type Hierarchies,
  closeEntry,
  enterV1,
  enterV2,
  openCgroup,
} from "../cgroup/index.ts";
import { SIG, SOCK } from "../ffi/constants.ts";
import { E, failure, prefixed } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { clone, pidfdKill, pidfdOpen, startTicks, waitFor } from "../ffi/processes.ts";
import { sendWithFds, socketPair } from "../ffi/sockets.ts";
import { makeUserNamespace } from "../mounts/userns.ts";
import { awaitMade, goMark, prepareReaper } from "./channel.ts";
import { runMaker } from "./maker.ts";
import { pin, shareFolderOf } from "./pins.ts";
import { type PodPlan, planPod } from "./plan.ts";
import { mountSharedMemory } from "./shared-memory.ts";
import { Undo } from "./undo.ts";

/** How long the processes of a pod that failed have to die. */
const undoTimeoutMs = 5000;

/**
 * Makes and pins a pod's namespaces, mounts its shared memory, starts its PID 1. All is undone when a part fails, and
 * where nobody is `awaited` any more: who gave the pod up undoes what there is by then, and knows of nothing later. Must
 * run in the host's mount namespace, in a process that ends afterwards.
 */
export function createPod(
  request: CreatePodRequest,
  hierarchies: Hierarchies,
  awaited: (this: void) => boolean,
): PodCreated {
  const plan = planPod(request);
  // The collector writes to every page of the heap, which the reaper for its whole life shares with the launcher.
  collectgarbage("stop");
  const undo = new Undo();
  try {
    const release = create(request, plan, hierarchies, undo);
    // The last step but one: whoever goes from here on finds all of it.
    if (!awaited()) throw failure("internal", "given up");
    return release();
  } catch (thrown) {
    undo.run();
    throw prefixed(`pod ${request.id}`, thrown);
  }
}

/** Makes everything; the last step, which makes it stay, is the caller's. */
function create(
  request: CreatePodRequest,
  plan: PodPlan,
  hierarchies: Hierarchies,
  undo: Undo,
): (this: void) => PodCreated {
  const { userMappings, pins } = request;
  if (pins.network !== undefined) shareFolderOf(pins.network);
  mountSharedMemory(request, undo);
  if (plan.namespaces.length === 0) return () => ({});
  const user = userMappings === undefined ? undefined : userNamespace(userMappings);
  const entry = enterableCgroup(request, hierarchies, undo);
  const channel = startMaker(request, plan, user, entry, undo);
  const { reaper, fds } = awaitMade(channel);
  if (reaper !== undefined) killOnUndo(reaper, undo);
  plan.namespaces.forEach((kind, index) => {
    pin(fds[index] as number, pins[kind] as string, undo);
  });
  if (reaper === undefined) return () => ({});
  prepareReaper(channel);
  return () => ({ reaper: release(reaper, channel) });
}

function userNamespace(mappings: NonNullable<CreatePodRequest["userMappings"]>): number {
  try {
    return makeUserNamespace(mappings.uids, mappings.gids);
  } catch (thrown) {
    const problem = prefixed("userMappings", thrown);
    throw problem.errno === E.INVAL ? { ...problem, code: "invalid-argument" } : problem;
  }
}

function enterableCgroup(
  request: CreatePodRequest,
  hierarchies: Hierarchies,
  undo: Undo,
): CgroupEntry | undefined {
  if (request.cgroup === undefined) return undefined;
  const cgroup = openCgroup(request.cgroup, hierarchies);
  cgroup.make();
  undo.defer(() => {
    cgroup.destroy(undoTimeoutMs);
  });
  return cgroup.openEntry();
}

/** Forks the maker and returns the socket to it and to the reaper; closing that ends a reaper that was not released. */
function startMaker(
  request: CreatePodRequest,
  plan: PodPlan,
  user: number | undefined,
  entry: CgroupEntry | undefined,
  undo: Undo,
): number {
  const [ours, theirs] = socketPair(SOCK.SEQPACKET);
  const maker = cloneInto(entry);
  if (maker === 0) {
    close(ours);
    runMaker(request, plan, user, theirs);
  }
  close(theirs);
  if (entry !== undefined) closeEntry(entry);
  undo.defer(() => {
    waitFor(maker);
  });
  undo.defer(() => {
    close(ours);
  });
  return ours;
}

/** A child in the cgroup, 0 in it: cloned into the v2 one where the kernel can (writing cgroup.procs is slow). */
function cloneInto(entry: CgroupEntry | undefined): number {
  const [cloned, pid] = pcall(clone, 0, entry?.into);
  const child = cloned ? pid : clone(0);
  if (child === 0 && entry !== undefined) {
    enterV1(entry);
    if (!cloned) enterV2(entry);
  }
  return child;
}

function killOnUndo(reaper: number, undo: Undo): void {
  const pidfd = pidfdOpen(reaper);
  if (pidfd === undefined) throw failure("internal", "the reaper ended early");
  undo.defer(() => {
    pidfdKill(pidfd, SIG.KILL);
  });
}

/** Lets the reaper stay, the last step of all. */
function release(reaper: number, channel: number): NonNullable<PodCreated["reaper"]> {
  const ticks = startTicks(reaper);
  if (ticks === undefined) throw failure("internal", "the reaper ended early");
  sendWithFds(channel, goMark, []);
  return { pid: reaper, startTicks: ticks };
}
