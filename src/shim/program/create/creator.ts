import type { CreateRequest, ShimFailure } from "../../protocol/messages.ts";
import type { Cgroup, CgroupEntry, Hierarchies } from "../cgroup/index.ts";
import { closeEntry, openCgroup, removeParents } from "../cgroup/index.ts";
import { CLONE, FALLOC_FL_KEEP_SIZE, O, SOCK } from "../ffi/constants.ts";
import type { Failure } from "../ffi/error.ts";
import { E, asFailure, failure, sysError } from "../ffi/error.ts";
import { close, open, pipe, readFile } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { clone, exit, setName, startTicks } from "../ffi/processes.ts";
import type { Received } from "../ffi/sockets.ts";
import { receiveWithFds, sendWithFds, socketPair } from "../ffi/sockets.ts";
import type { InitPlan, InitReady } from "../init/init.ts";
import { ownHabits, runInit } from "../init/init.ts";
import { decode, encode, jsonArray } from "../json.ts";
import { detachRootfs } from "../mounts/overlay.ts";
import { planMounts } from "../mounts/plan.ts";
import { type IdMaps, writeIdMaps } from "../mounts/userns.ts";
import {
  checkSecurityModules,
  openProcfs,
  readSeccompFilter,
  requireSelinux,
  setOomScoreAdj,
} from "../process/index.ts";
import type { CheckedSpec } from "../spec/read-spec.ts";
import { cgroupPath, readSpec } from "../spec/read-spec.ts";
import { startHookRunner } from "./hook-runner.ts";
import type { CreatedInit, CreatorMessage } from "./message.ts";
import { maxCreatorMessageBytes } from "./message.ts";
import type { NamespacePlan } from "./namespaces.ts";
import { enterBefore, planNamespaces } from "./namespaces.ts";

/** Bytes set aside for the exit record, so that a full /run can't keep it from being written. */
const exitRecordBytes = 4096;
const recordMode = 0o600;
/** Bytes of the request's document: what came in a frame, written anew. */
const maxRequestBytes = 2 * 1024 * 1024;

/** What a container is made of, whoever asked for it. */
export interface ContainerOrder extends Pick<
  CreateRequest,
  | "id"
  | "bundle"
  | "rootfs"
  | "seccompFilter"
  | "imageVolumes"
  | "createSources"
  | "relabelSources"
  | "imageMounts"
> {
  readonly spec: CheckedSpec;
  readonly ends: ContainerEnds;
  readonly habits: InitPlan["habits"];
}

/** The container's ends of what it talks through, and in `forOwner` the other ends, as {@link CreatedInit} says. */
export interface ContainerEnds extends Pick<InitPlan, "stdin" | "stdout" | "stderr"> {
  readonly start: number;
  readonly status: number;
  readonly forOwner: readonly number[];
}

/**
 * Makes the cgroup that the shim names, waits for its request and makes the container, in a child of the shim that ends
 * when it is done: init becomes the shim's own child (CLONE_PARENT), and all the memory that reading, checking and
 * planning took goes with the creator. What it made is told to the shim at once, which undoes it should this process
 * fail or die.
 */
export function runCreator(hierarchies: Hierarchies, shim: number): never {
  const cgroupsPath = receiveWithFds(shim, maxCreatorMessageBytes)?.text ?? "";
  if (cgroupsPath === "") exit(0);
  createTelling(shim, (tell) => {
    const place = makePlace(cgroupsPath, hierarchies, tell);
    const request = awaitRequest(shim);
    if (request === undefined) return;
    const spec = readSpec(request.bundle);
    requirePlace(spec, place.cgroup);
    const order = { ...request, spec, ends: makePipes(request, spec), habits: ownHabits };
    create(order, place, hierarchies, tell, () => {
      preallocate(request.exitRecord);
    });
  });
}

/** The same for a caller that has the whole order already; `caller` is told, and is the parent of init. */
export function runOrder(order: ContainerOrder, hierarchies: Hierarchies, caller: number): never {
  createTelling(caller, (tell) => {
    const place = makePlace(cgroupPath(order.spec), hierarchies, tell);
    create(order, place, hierarchies, tell, () => undefined);
  });
}

/** Does `work` and ends; what goes wrong is told, too. */
function createTelling(shim: number, work: (this: void, tell: Tell) => void): never {
  setName("berth-create");
  const tell: Tell = (message, fds = []) => {
    sendWithFds(shim, encode(message), fds);
  };
  const [ok, thrown] = pcall(work, tell);
  if (!ok) {
    tell({ error: answerOf(asFailure(thrown)) });
    // Until the shim has closed its end: a request left unread would reset the connection, and lose what was told.
    pcall(receiveWithFds, shim, maxCreatorMessageBytes);
  }
  exit(0);
}

/** What a container needs wherever it comes from: made before its request is there. */
interface Place {
  readonly cgroup: Cgroup;
  readonly entry: CgroupEntry;
  /** Folders above the cgroup that were made for it. */
  readonly parents: string[];
}

function makePlace(cgroupsPath: string, hierarchies: Hierarchies, tell: Tell): Place {
  const cgroup = openCgroup(cgroupsPath, hierarchies);
  const parents = cgroup.make();
  const [ok, entry] = pcall(() => cgroup.openEntry());
  if (ok) {
    tell({ cgroup: cgroup.path, parents: jsonArray(parents) });
    return { cgroup, entry, parents };
  }
  cgroup.tryRemove();
  removeParents(parents);
  throw entry;
}

/** Undefined where the shim ended without one. */
function awaitRequest(shim: number): CreateRequest | undefined {
  const [document] = receiveWithFds(shim, maxCreatorMessageBytes)?.fds ?? [];
  if (document === undefined) return undefined;
  // By its name in /proc, as the descriptor itself stands at the end of what was written.
  const text = readFile(`/proc/self/fd/${document}`, maxRequestBytes);
  close(document);
  return decode(text, maxRequestBytes) as CreateRequest;
}

function answerOf({ code, message, syscall, errno }: Failure): ShimFailure {
  return { code, message, syscall, errno };
}

type Tell = (this: void, message: CreatorMessage, fds?: readonly number[]) => void;

/** `reserve` sets aside what the end of the container needs, once the order was found to be good. */
function create(
  order: ContainerOrder,
  { cgroup, entry }: Place,
  hierarchies: Hierarchies,
  tell: Tell,
  reserve: () => void,
): void {
  const { spec, ends } = order;
  const filter = filterOf(spec, order);
  checkSecurityModules(spec.process);
  const label = spec.linux.mountLabel ?? "";
  requireSelinux("linux.mountLabel", label);
  const namespaces = planNamespaces(spec.linux);
  const mounts = planMounts(spec.mounts ?? [], order, label);
  reserve();
  const warnings = cgroup.limit(spec.linux.resources ?? {});
  const rootfs = detachRootfs(order.rootfs, order.bundle, label, idMaps(spec));
  const hooks = startHookRunner(spec.hooks);
  const [sync, syncOfInit] = socketPair(SOCK.SEQPACKET);
  setOwnOomScore(spec, (text) => warnings.push(text));
  enterBefore(namespaces);
  const plan: InitPlan = {
    id: order.id,
    spec,
    bundle: order.bundle,
    rootfs,
    mounts,
    imageVolumes: order.imageVolumes,
    namespaces,
    cgroups: cgroupView(cgroup, hierarchies, namespaces),
    entry,
    enterV2Late: false,
    filter,
    channels: { sync: syncOfInit, start: ends.start, status: ends.status },
    stdin: ends.stdin,
    stdout: ends.stdout,
    stderr: ends.stderr,
    habits: order.habits,
  };
  const pid = cloneInit(plan, entry);
  closeEntry(entry);
  close(syncOfInit);
  tell({ init: pid });
  const ready = untilReady(sync, pid, namespaces, spec, () => {
    const { ociVersion, annotations = {} } = spec;
    hooks({ ociVersion, id: order.id, status: "creating", pid, bundle: order.bundle, annotations });
  });
  warnings.push(...(decode(ready.text, maxCreatorMessageBytes) as InitReady).warnings);
  tell({ created: createdInit(pid, spec, namespaces, warnings) }, [...ends.forOwner, ...ready.fds]);
}

function requirePlace(spec: CheckedSpec, cgroup: Cgroup): void {
  const path = cgroupPath(spec);
  if (path === cgroup.path) return;
  throw failure(
    "invalid-argument",
    `config.json: linux.cgroupsPath: ${path}: the shim was prepared for ${cgroup.path}`,
  );
}

/** `linux.seccomp` is compiled by the daemon; without the result the container would run unconfined. */
function filterOf(spec: CheckedSpec, request: ContainerOrder): InitPlan["filter"] {
  if (request.seccompFilter !== undefined) return readSeccompFilter(request.seccompFilter);
  if (spec.linux.seccomp === undefined) return undefined;
  throw failure("invalid-argument", "config.json: linux.seccomp: no compiled filter came with the request");
}

/** Mappings beside a joined user namespace are for the image's files; a new namespace's are written by its maker. */
function idMaps({ linux }: CheckedSpec): IdMaps | undefined {
  const { uidMappings = [], gidMappings = [], namespaces = [] } = linux;
  const joins = namespaces.some(({ type, path }) => type === "user" && path !== undefined);
  return joins && uidMappings.length > 0 ? { uids: uidMappings, gids: gidMappings } : undefined;
}

function preallocate(path: string): void {
  const fd = open(path, O.CREAT | O.TRUNC | O.WRONLY | O.NOFOLLOW, recordMode);
  if (C.fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, exitRecordBytes) < 0) {
    const problem = sysError("fallocate", path);
    // A file system without fallocate writes the record when it comes.
    if (problem.errno !== E.OPNOTSUPP) throw problem;
  }
  close(fd);
}

function makePipes(request: CreateRequest, spec: CheckedSpec): ContainerEnds {
  const [start, startWriter] = pipe();
  const [statusReader, status] = pipe();
  const base = { start, status, forOwner: [startWriter, statusReader] };
  if (spec.process.terminal === true) return base;
  const [stdoutReader, stdout] = pipe();
  const [stderrReader, stderr] = pipe();
  base.forOwner.push(stdoutReader, stderrReader);
  if (request.stdin === "closed") return { ...base, stdout, stderr };
  const [stdin, stdinWriter] = pipe();
  base.forOwner.push(stdinWriter);
  return { ...base, stdin, stdout, stderr };
}

/** Set on this process, from which init inherits it: in a user namespace init could not lower its own. */
function setOwnOomScore(spec: CheckedSpec, warn: (text: string) => void): void {
  const procfs = openProcfs();
  setOomScoreAdj(procfs, "self", spec.process.oomScoreAdj ?? 0, warn);
  close(procfs);
}

function cgroupView(
  cgroup: Cgroup,
  hierarchies: Hierarchies,
  namespaces: NamespacePlan,
): InitPlan["cgroups"] {
  return { hierarchies, path: cgroup.path, namespaced: (namespaces.all & CLONE.NEWCGROUP) !== 0 };
}

/** Starts init in its cgroup; where the kernel won't have that, init moves itself. */
function cloneInit(plan: InitPlan, entry: CgroupEntry): number {
  const flags = plan.namespaces.cloneFlags | CLONE.PARENT;
  const [ok, result] = pcall(() => clone(flags, entry.into));
  if (!ok && entry.into === undefined) throw result;
  const pid = ok ? result : clone(flags);
  if (pid === 0) runInit({ ...plan, enterV2Late: !ok });
  return pid;
}

/** Serves init while it sets itself up, until it is ready or has failed. */
function untilReady(
  sync: number,
  pid: number,
  namespaces: NamespacePlan,
  spec: CheckedSpec,
  runHooks: () => void,
): Received {
  if (namespaces.newUser) {
    writeIdMaps(pid, spec.linux.uidMappings ?? [], spec.linux.gidMappings ?? []);
    sendWithFds(sync, "go", []);
  }
  for (;;) {
    const got = receiveWithFds(sync, maxCreatorMessageBytes);
    if (got === undefined || got.text === "") throw failure("internal", "init died before it was ready");
    const message = decode(got.text, maxCreatorMessageBytes) as {
      readonly hooks?: boolean;
      readonly error?: Failure;
    };
    if (message.error !== undefined) throw message.error;
    if (message.hooks !== true) return got;
    runHooks();
    sendWithFds(sync, "go", []);
  }
}

function createdInit(
  pid: number,
  spec: CheckedSpec,
  namespaces: NamespacePlan,
  warnings: readonly string[],
): CreatedInit {
  const { hooks, ociVersion } = spec;
  const later = hooks?.poststart !== undefined || hooks?.poststop !== undefined;
  return {
    pid,
    pidStartTicks: startTicks(pid) ?? 0,
    warnings: jsonArray([...warnings]),
    terminal: spec.process.terminal === true,
    namespaces: namespaces.all,
    personality: spec.linux.personality,
    poststart: hooks?.poststart,
    poststop: hooks?.poststop,
    ociVersion,
    annotations: later ? spec.annotations : undefined,
  };
}
