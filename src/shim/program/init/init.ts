import type { SpecLinux } from "../../../core/oci-runtime-spec.ts";
import type { CgroupEntry } from "../cgroup/index.ts";
import { closeEntry, enterV1, enterV2 } from "../cgroup/index.ts";
import type { NamespacePlan } from "../create/namespaces.ts";
import { enterInside } from "../create/namespaces.ts";
import { CLONE, MOUNT_ATTR, O, S } from "../ffi/constants.ts";
import { closeAllBut, openOnes, preservedDescriptors } from "../ffi/descriptors.ts";
import { asFailure, failure, sysError } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { bytes } from "../ffi/memory.ts";
import { mountSetattr } from "../ffi/mounts.ts";
import { exit, setName, unshare } from "../ffi/processes.ts";
import { receiveWithFds, sendWithFds } from "../ffi/sockets.ts";
import type { OciState } from "../hooks/run-hooks.ts";
import { runHooks } from "../hooks/run-hooks.ts";
import { encode } from "../json.ts";
import type { CgroupView } from "../mounts/cgroup-mount.ts";
import { addDevices, isDevice, makeDevices } from "../mounts/devices.ts";
import { makeReadonly, maskPaths } from "../mounts/masks.ts";
import { attachRoot, enterRoot, openPlace } from "../mounts/pivot.ts";
import type { PlannedMount } from "../mounts/plan.ts";
import { attachMount, hasFreshDev } from "../mounts/plan.ts";
import type { NewRoot } from "../mounts/targets.ts";
import type { PreparedProcess, SeccompFilter } from "../process/index.ts";
import { executeProcess, findCommand, openProcfs, prepareProcess } from "../process/index.ts";
import type { CheckedSpec } from "../spec/read-spec.ts";
import { makeImageVolumes } from "./image-volumes.ts";
import { setSysctls } from "./sysctls.ts";
import type { Terminal } from "./terminal.ts";
import { bindConsole, controlTerminal, openTerminal, ownTerminal } from "./terminal.ts";

/** Descriptors that init talks through. */
export interface InitChannels {
  /** To the creator, until init is ready. */
  readonly sync: number;
  /** One byte comes when the container shall start; the end means that it never will. */
  readonly start: number;
  /** Closed by execve; a failure is written here first. */
  readonly status: number;
}

/** Everything that init needs; all of it was read, checked and opened before the clone. */
export interface InitPlan {
  readonly id: string;
  readonly spec: CheckedSpec;
  readonly bundle: string;
  readonly rootfs: number;
  readonly mounts: readonly PlannedMount[];
  readonly imageVolumes: readonly string[];
  readonly namespaces: NamespacePlan;
  readonly cgroups: CgroupView;
  readonly entry: CgroupEntry;
  /** Set where clone3 could not start init in its v2 cgroup. */
  readonly enterV2Late: boolean;
  readonly filter?: SeccompFilter;
  readonly channels: InitChannels;
  /** Pipe ends for 0, 1 and 2; absent with a terminal, and stdin absent where it is closed. */
  readonly stdin?: number;
  readonly stdout?: number;
  readonly stderr?: number;
  readonly habits: Habits;
}

/** What an OCI runtime can be told to do in another way. */
export interface Habits {
  /** Descriptors from 3 on that the command gets, too. */
  readonly preservedFds: number;
  readonly keyring: "new" | "inherited";
  /** What a process without HOME in its environment gets: nothing, or what the container's /etc/passwd says. */
  readonly home: "absent" | "passwd";
  /** Whether a command that is missing is an error of the creation already, as callers of an OCI runtime expect it. */
  readonly command: "found-at-start" | "found-at-create";
}

/** What the daemon's containers get. */
export const ownHabits: Habits = {
  preservedFds: 0,
  keyring: "new",
  home: "absent",
  command: "found-at-start",
};

/** What init tells the creator when all is done but execve. */
export interface InitReady {
  readonly ready: true;
  readonly warnings: readonly string[];
}

/** Exit statuses of a process that never was: no such command and one that may not be run, as shells have them; the rest. */
const commandMissing = 127;
const commandDenied = 126;
const startFailed = 128;
const maxSyncBytes = 4096;

/**
 * The container's first process, from the clone to its execve:
 *
 * ```
 *  cgroup ─► id maps ─► namespaces ─► root, mounts, devices ─► pivot ─► masks ─► ready ┄┄ start ┄┄► hooks ─► execve
 * ```
 *
 * What fails before `ready` goes to the creator, what fails after it to the shim.
 */
export function runInit(plan: InitPlan): never {
  const { channels } = plan;
  const [ok, result] = pcall(() => setUp(plan));
  if (!ok) {
    sendWithFds(channels.sync, encode({ error: asFailure(result) }), []);
    exit(startFailed);
  }
  const { prepared, stdio } = result;
  close(channels.sync);
  if (!awaitStart(channels.start)) exit(startFailed);
  const [, thrown] = pcall(() => {
    runHooks(plan.spec.hooks?.startContainer ?? [], stateOf(plan, "created"), "startContainer");
    takeStdio(stdio);
    executeProcess(prepared, plan.filter, plan.habits.preservedFds);
  });
  const problem = asFailure(thrown);
  const text = encode(problem);
  C.write(channels.status, text, text.length);
  if (problem.code === "not-found") exit(commandMissing);
  exit(problem.code === "permission-denied" ? commandDenied : startFailed);
}

interface Stdio {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
  readonly terminal?: Terminal;
}

interface Ready {
  readonly prepared: PreparedProcess;
  readonly stdio: Stdio;
}

function setUp(plan: InitPlan): Ready {
  const { spec, namespaces, channels } = plan;
  setName("berth-init");
  closeAllBut(keptDescriptors(plan));
  enterV1(plan.entry);
  if (plan.enterV2Late) enterV2(plan.entry);
  closeEntry(plan.entry);
  if (C.setsid() < 0) throw sysError("setsid");
  const procfs = openProcfs();
  const place = openPlace(plan.bundle);
  if (namespaces.newUser) awaitGo(channels.sync);
  if ((namespaces.all & CLONE.NEWUSER) !== 0) becomeRootInside();
  enterInside(namespaces);
  if (namespaces.newCgroup) unshare(CLONE.NEWCGROUP);
  setNames(spec);
  setSysctls(procfs, spec.linux);
  const root = buildRoot(plan, place);
  const terminal =
    spec.process.terminal === true ? openTerminal(root.fd, spec.process.consoleSize) : undefined;
  if (terminal !== undefined) {
    ownTerminal(terminal, spec.process.user.uid);
    bindConsole(root, terminal.slave);
  }
  makeReadonly(root, spec.linux.readonlyPaths ?? []);
  maskPaths(root, spec.linux.maskedPaths ?? []);
  runCreateHooks(plan);
  enterRoot(root, spec.linux.rootfsPropagation);
  const warnings: string[] = [];
  const prepared = prepareProcess(spec.process, {
    procfs,
    warn: (text) => warnings.push(text),
    workingFolder: "make",
    keyring: plan.habits.keyring,
    home: plan.habits.home,
    personality: spec.linux.personality,
  });
  if (spec.root.readonly === true) mountSetattr(root.fd, 0, { set: MOUNT_ATTR.RDONLY }, "/");
  if (plan.habits.command === "found-at-create")
    findCommand(spec.process.args[0] ?? "", prepared.envp.values);
  const stdio = terminal === undefined ? pipeStdio(plan) : terminalStdio(terminal);
  const ready: InitReady = { ready: true, warnings };
  // Whoever waits for the end of what this process was started with need not wait for its start.
  if (terminal !== undefined) placeStdio(stdio);
  sendWithFds(channels.sync, encode(ready), terminal === undefined ? [] : [terminal.master]);
  if (terminal !== undefined) close(terminal.master);
  close(procfs);
  return { prepared, stdio };
}

function keptDescriptors(plan: InitPlan): number[] {
  const { channels, entry, stdin, stdout, stderr } = plan;
  const kept = [plan.rootfs, channels.sync, channels.start, channels.status, ...entry.tasks];
  kept.push(...openOnes(entry.into, stdin, stdout, stderr));
  for (const { detached } of plan.mounts) if (detached !== undefined) kept.push(detached.fd);
  for (const { fd } of plan.namespaces.inside) kept.push(fd);
  return [...kept, ...preservedDescriptors(plan.habits.preservedFds)];
}

/** The ids are mapped by now: what is made from here on belongs to root of the container. */
function becomeRootInside(): void {
  if (C.setresgid(0, 0, 0) < 0) throw sysError("setresgid", 0);
  if (C.setresuid(0, 0, 0) < 0) throw sysError("setresuid", 0);
}

function setNames(spec: CheckedSpec): void {
  const { hostname = "", domainname = "" } = spec;
  if (hostname !== "" || domainname !== "") requireOwnUts(spec.linux);
  if (hostname !== "" && C.sethostname(hostname, hostname.length) < 0)
    throw sysError("sethostname", hostname);
  if (domainname !== "" && C.setdomainname(domainname, domainname.length) < 0) {
    throw sysError("setdomainname", domainname);
  }
}

function requireOwnUts(linux: SpecLinux): void {
  const uts = (linux.namespaces ?? []).find((one) => one.type === "uts");
  if (uts === undefined) {
    throw failure(
      "invalid-argument",
      "config.json: hostname: a uts namespace is needed, the host's stays as it is",
    );
  }
}

function buildRoot(plan: InitPlan, place: number): NewRoot {
  const { spec, mounts } = plan;
  const root = attachRoot(plan.rootfs, place, plan.bundle);
  for (const planned of mounts) attachMount(root, planned, plan.cgroups);
  if (hasFreshDev(mounts)) makeDevices(root, spec.linux.devices ?? []);
  else addDevices(root, spec.linux.devices ?? []);
  makeImageVolumes(root, plan.imageVolumes, spec.root.readonly === true);
  return root;
}

function runCreateHooks(plan: InitPlan): void {
  const { hooks } = plan.spec;
  if ((hooks?.prestart ?? []).length + (hooks?.createRuntime ?? []).length > 0) {
    sendWithFds(plan.channels.sync, encode({ hooks: true }), []);
    awaitGo(plan.channels.sync);
  }
  runHooks(hooks?.createContainer ?? [], stateOf(plan, "creating"), "createContainer");
}

/** The container's state as hooks see it; the pid is the host's only in the runtime's own hooks. */
function stateOf(plan: InitPlan, status: OciState["status"]): OciState {
  const { ociVersion, annotations = {} } = plan.spec;
  return { ociVersion, id: plan.id, status, pid: C.getpid(), bundle: plan.bundle, annotations };
}

function pipeStdio(plan: InitPlan): Stdio {
  const { stdin = openNothing(), stdout = -1, stderr = -1 } = plan;
  return { stdin, stdout, stderr };
}

/** The container's own null device where it is one. */
function openNothing(): number {
  const fd = C.open("/dev/null", O.RDONLY | O.CLOEXEC | O.NOFOLLOW, 0);
  if (fd >= 0 && isDevice(fd, S.IFCHR, 1, 3)) return fd;
  throw failure("failed-precondition", "/dev/null of the container is not the null device");
}

function terminalStdio(terminal: Terminal): Stdio {
  const { slave } = terminal;
  return { stdin: slave, stdout: slave, stderr: slave, terminal };
}

function takeStdio(stdio: Stdio): void {
  if (stdio.terminal !== undefined) controlTerminal(stdio.terminal.slave);
  placeStdio(stdio);
}

function placeStdio(stdio: Stdio): void {
  [stdio.stdin, stdio.stdout, stdio.stderr].forEach((fd, place) => {
    if (C.dup3(fd, place, 0) < 0) throw sysError("dup3", place);
  });
}

function awaitGo(sync: number): void {
  const got = receiveWithFds(sync, maxSyncBytes);
  if (got === undefined || got.text !== "go") exit(startFailed);
}

/** False where the shim is gone or gave the container up. */
function awaitStart(start: number): boolean {
  return C.read(start, bytes(1), 1) === 1;
}
