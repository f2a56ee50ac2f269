import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../failure.ts";
import { monotonicMs, sleepMs } from "../ffi/time.ts";
import { parseCgroupPath } from "./cgroup-path.ts";
import { limitCgroup, makeCgroup } from "./create.ts";
import { type CgroupEntry, openEntry } from "./enter.ts";
import { type ExecSlot, ExecSlots } from "./exec-slots.ts";
import { folderOf, pidsBelow, readCounter, removeFolders } from "./folder.ts";
import { type Hierarchies, hierarchyOf, unifiedOf } from "./hierarchies.ts";
import { type KillFolder, freeze, isEmpty, isFrozen, killAll, thaw } from "./kill.ts";
import { describeProcesses } from "./processes.ts";
import { updateCgroup } from "./update.ts";

/** The first and the longest pause between two tries to remove a cgroup. */
const firstPauseMs = 1;
const longestPauseMs = 50;

/** One container's cgroup: the same path in every hierarchy of the host. */
export class Cgroup {
  /** Absolute from the hierarchies' roots. */
  readonly path: string;
  private readonly hierarchies: Hierarchies;
  private readonly target: KillFolder;
  private readonly slots: ExecSlots;

  constructor(path: string, hierarchies: Hierarchies) {
    this.path = parseCgroupPath(path);
    this.hierarchies = hierarchies;
    this.target = killFolderOf(hierarchies, this.path);
    this.slots = new ExecSlots(this.target);
  }

  /** Makes it, without limits; returns the folders above it that were made, leaves nothing behind when it fails. */
  make(): string[] {
    return makeCgroup(this.path, this.hierarchies);
  }

  /** Sets the limits of a cgroup that was just made; returns warnings. */
  limit(resources: SpecResources): string[] {
    return limitCgroup(this.path, this.hierarchies, resources);
  }

  /** Changes the given limits and keeps the others; returns warnings, changes nothing when a value is refused. */
  update(resources: SpecResources): string[] {
    return updateCgroup(this.path, this.hierarchies, resources);
  }

  /** The way in for a child that is about to be cloned: see {@link CgroupEntry}. */
  openEntry(slot?: ExecSlot): CgroupEntry {
    return openEntry(this.hierarchies, (hierarchy) =>
      slot !== undefined && folderOf(hierarchy, this.path) === this.target.folder
        ? this.path + slot.name
        : this.path,
    );
  }

  /** A sub-cgroup for an added process: see {@link ExecSlots.take}. */
  execSlot(): ExecSlot | undefined {
    return this.slots.take();
  }

  /** Sends SIGKILL to everything in it; returns before all are gone. */
  kill(): void {
    killAll(this.target);
  }

  freeze(timeoutMs: number): void {
    freeze(this.target, timeoutMs);
  }

  thaw(): void {
    thaw(this.target);
  }

  /** True where all of its processes are stopped by the freezer; also false where there is none. */
  isFrozen(): boolean {
    return isFrozen(this.target);
  }

  isEmpty(): boolean {
    return isEmpty(this.target);
  }

  /** All of its processes, those of added ones included. */
  pids(): number[] {
    return pidsBelow(this.target.folder);
  }

  /** How often the kernel killed one of its processes for want of memory; 0 where nobody counts. */
  oomKills(): number {
    const hierarchy = hierarchyOf(this.hierarchies, "memory");
    if (hierarchy === undefined) return 0;
    const file = hierarchy.version === 1 ? "memory.oom_control" : "memory.events";
    return readCounter(folderOf(hierarchy, this.path), file, "oom_kill") ?? 0;
  }

  /** Removes what can be removed now, with all sub-cgroups; true when nothing is left. Never waits. */
  tryRemove(): boolean {
    return this.firstBusy() === undefined;
  }

  /** Removes it, waiting for the last processes to go: `deadline-exceeded` names those that did not. */
  remove(timeoutMs: number): void {
    const deadline = monotonicMs() + timeoutMs;
    let pauseMs = firstPauseMs;
    while (true) {
      const busy = this.firstBusy();
      if (busy === undefined) return;
      if (monotonicMs() >= deadline) {
        const who = describeProcesses(pidsBelow(busy));
        throw failure("deadline-exceeded", `cgroup ${busy}: still in use after ${timeoutMs} ms by ${who}`);
      }
      sleepMs(pauseMs);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  /** Kills everything in it and removes it: what is left of a container whose shim is lost. */
  destroy(timeoutMs: number): void {
    this.kill();
    this.remove(timeoutMs);
  }

  private firstBusy(): string | undefined {
    let busy: string | undefined;
    for (const hierarchy of this.hierarchies) {
      busy = removeFolders(folderOf(hierarchy, this.path)) ?? busy;
    }
    return busy;
  }
}

function killFolderOf(hierarchies: Hierarchies, path: string): KillFolder {
  const unified = unifiedOf(hierarchies);
  if (unified !== undefined) return { folder: folderOf(unified, path), means: "v2" };
  const freezer = hierarchyOf(hierarchies, "freezer");
  if (freezer !== undefined) return { folder: folderOf(freezer, path), means: "freezer" };
  const any = hierarchies[0];
  if (any === undefined) throw failure("failed-precondition", "no cgroup hierarchy is mounted on this host");
  return { folder: folderOf(any, path), means: "list" };
}
