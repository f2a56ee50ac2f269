import type { CreatedInit, CreatorMessage } from "../../program/create/message.ts";
import { maxCreatorMessageBytes } from "../../program/create/message.ts";
import type { ContainerOrder } from "../../program/create/creator.ts";
import { runOrder } from "../../program/create/creator.ts";
import { discoverHierarchies, openCgroup, removeParents } from "../../program/cgroup/index.ts";
import type { Hierarchies } from "../../program/cgroup/index.ts";
import { AT, O, S, SIG, SOCK } from "../../program/ffi/constants.ts";
import { closeAllBut, preservedDescriptors } from "../../program/ffi/descriptors.ts";
import { asFailure, failure, sysError } from "../../program/ffi/error.ts";
import { close, duplicate, fstat, isType, open } from "../../program/ffi/files.ts";
import { C } from "../../program/ffi/libc.ts";
import { fork, kill, waitFor } from "../../program/ffi/processes.ts";
import { receiveWithFds, socketPair } from "../../program/ffi/sockets.ts";
import { nowParts } from "../../program/ffi/time.ts";
import { decode, jsonArray } from "../../program/json.ts";
import type { CheckedSpec } from "../../program/spec/read-spec.ts";
import { cgroupPath, namespaceOf } from "../../program/spec/read-spec.ts";
import { effectiveUid, makeFifo, realPath, resetAffinity, tryChown } from "../ffi/os.ts";
import { prepareFilter } from "../seccomp/prepare.ts";
import type { Settings } from "../settings.ts";
import type { TerminalRequest } from "../terminal/request.ts";
import { checkTerminal, handOver } from "../terminal/request.ts";
import type { ContainerFolder, ContainerRecord } from "./record.ts";
import { claimFolder, removeFolder, writeRecord } from "./record.ts";
import { readBundle } from "./spec.ts";

/** How a container is asked for, beyond its bundle. */
export interface CreateWish {
  readonly id: string;
  readonly bundle: string;
  readonly pidFile?: string;
  readonly terminal: TerminalRequest;
  readonly preservedFds: number;
  readonly keyring: "new" | "inherited";
}

/** A container that waits for its start. */
export interface CreatedContainer {
  readonly record: ContainerRecord;
  readonly folder: ContainerFolder;
  /** The terminal's master, where it is this process that keeps it. */
  readonly master?: number;
}

/** How long what a failed creation left may take to go. */
const undoTimeoutMs = 5_000;

/**
 * Makes a container up to the moment before its command: init waits at a FIFO in the container's folder, is this
 * process's child, and goes to whoever adopts it when this process ends. Undoes all of it where anything fails.
 */
export function createContainer(settings: Settings, wish: CreateWish): CreatedContainer {
  closeAllBut(preservedDescriptors(wish.preservedFds));
  const bundle = realPath(wish.bundle === "" ? "." : wish.bundle);
  const spec = readBundle(bundle, wish.id, settings);
  checkTerminal(wish.terminal, spec.process.terminal === true);
  const rootfs = realPath(
    string.sub(spec.root.path, 1, 1) === "/" ? spec.root.path : `${bundle}/${spec.root.path}`,
  );
  resetAffinity();
  const folder = claimFolder(settings.root, wish.id);
  const [ok, result] = pcall(() => {
    const filter = prepareFilter(spec.linux.seccomp, settings, folder.filter);
    const [start, status] = openGate(folder);
    const hierarchies = discoverHierarchies();
    const stdio = spec.process.terminal === true ? {} : inheritedStdio(hostUid(spec));
    const order: ContainerOrder = {
      id: wish.id,
      bundle,
      rootfs: { kind: "directory", path: rootfs },
      seccompFilter: filter,
      imageVolumes: [],
      createSources: [],
      spec,
      ends: { start, status, forOwner: [], ...stdio },
      habits: {
        preservedFds: wish.preservedFds,
        keyring: wish.keyring,
        home: "passwd",
        command: "found-at-create",
      },
    };
    const made = make(order, hierarchies);
    close(start);
    close(status);
    try {
      for (const warning of made.init.warnings) settings.log.warn(warning);
      const pids = namespaceOf(spec.linux, "pid");
      const record: ContainerRecord = {
        version: 1,
        id: wish.id,
        bundle,
        rootfs,
        created: createdText(),
        ownerUid: effectiveUid(),
        annotations: spec.annotations ?? {},
        cgroup: cgroupPath(spec),
        cgroupParents: jsonArray([...made.parents]),
        init: made.init,
        ownPids: pids !== undefined && pids.path === undefined,
        keyring: wish.keyring,
        seccompFlags: filter?.flags,
      };
      const master = made.master === undefined ? undefined : handOver(wish.terminal, made.master);
      writeRecord(folder, record);
      if (wish.pidFile !== undefined) writePidFile(wish.pidFile, made.init.pid);
      return { record, folder, master };
    } catch (thrown) {
      undo(made, hierarchies, cgroupPath(spec));
      throw thrown;
    }
  });
  if (ok) return result;
  removeFolder(folder);
  throw result as unknown;
}

/** Writes a pid so that whoever waits for the file finds all of it. */
export function writePidFile(path: string, pid: number): void {
  const [folder, name] = string.match(path, "^(.*/)([^/]+)$");
  const fresh = `${folder ?? ""}.${name ?? path}`;
  const fd = open(fresh, O.WRONLY | O.CREAT | O.TRUNC, 0o644);
  const text = string.format("%d", pid);
  const put = C.write(fd, text, text.length);
  close(fd);
  if (put !== text.length) throw sysError("write", fresh);
  if (C.renameat(AT.FDCWD, fresh, AT.FDCWD, path) < 0) throw sysError("rename", path);
}

/** What the creator made of an order. */
interface Made {
  readonly init: CreatedInit;
  readonly parents: readonly string[];
  readonly master?: number;
}

/** The FIFO that init waits at, open at both ends so that it waits for good, and the writer of the other one. */
function openGate(folder: ContainerFolder): LuaMultiReturn<[start: number, status: number]> {
  makeFifo(folder.start);
  makeFifo(folder.status);
  const reader = open(folder.status, O.RDONLY | O.NONBLOCK);
  const status = open(folder.status, O.WRONLY);
  close(reader);
  return $multi(open(folder.start, O.RDWR), status);
}

/**
 * What this process has for standard input and output, under numbers that init can move where it wants them. Pipes go
 * to the container's user, who could not open /dev/stdout otherwise.
 */
function inheritedStdio(uid: number | undefined): {
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
} {
  for (let fd = 0; fd <= 2; fd++) {
    if (uid !== undefined && uid !== 0 && isType(fstat(fd), S.IFIFO)) tryChown(fd, uid);
  }
  return { stdin: duplicate(0), stdout: duplicate(1), stderr: duplicate(2) };
}

/** The process's user as the host knows it; undefined where the user namespace doesn't say. */
function hostUid({ process, linux }: CheckedSpec): number | undefined {
  const { uid } = process.user;
  const { uidMappings = [] } = linux;
  if (namespaceOf(linux, "user") === undefined) return uid;
  const found = uidMappings.find(({ containerID, size }) => containerID <= uid && uid < containerID + size);
  return found === undefined ? undefined : found.hostID + uid - found.containerID;
}

function make(order: ContainerOrder, hierarchies: Hierarchies): Made {
  const [ours, theirs] = socketPair(SOCK.SEQPACKET);
  const creator = fork();
  if (creator === 0) {
    close(ours);
    runOrder(order, hierarchies, theirs);
  }
  close(theirs);
  let parents: readonly string[] | undefined;
  let init = 0;
  const [ok, made] = pcall(() => {
    for (;;) {
      const got = receiveWithFds(ours, maxCreatorMessageBytes);
      if (got === undefined || got.text === "") throw failure("internal", "the creator died");
      const message = decode(got.text, maxCreatorMessageBytes) as CreatorMessage;
      if ("cgroup" in message) parents = message.parents;
      else if ("init" in message) init = message.init;
      else if ("error" in message) throw asFailure({ ...message.error, failure: true });
      else return { init: message.created, master: got.fds[0] };
    }
  });
  close(ours);
  waitFor(creator);
  if (ok) return { ...made, parents: parents ?? [] };
  if (init > 0) end(init);
  if (parents !== undefined) removeCgroup(cgroupPath(order.spec), parents, hierarchies);
  throw made as unknown;
}

function undo(made: Made, hierarchies: Hierarchies, cgroup: string): void {
  end(made.init.pid);
  removeCgroup(cgroup, made.parents, hierarchies);
}

function end(init: number): void {
  pcall(kill, init, SIG.KILL);
  pcall(waitFor, init);
}

function removeCgroup(path: string, parents: readonly string[], hierarchies: Hierarchies): void {
  const [clean] = pcall(() => {
    openCgroup(path, hierarchies).destroy(undoTimeoutMs);
  });
  if (clean) removeParents(parents);
}

/** RFC 3339 with nanoseconds, in UTC. */
function createdText(): string {
  const [seconds, nanoseconds] = nowParts();
  return `${os.date("!%Y-%m-%dT%H:%M:%S", seconds)}.${string.format("%09d", nanoseconds)}Z`;
}
